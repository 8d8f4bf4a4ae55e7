/*
 * statfile.h
 *		The statistics in a file, from one run of the server to the next.
 */
#ifndef PM_STATFILE_H
#define PM_STATFILE_H

/* In the data directory. */
#define PM_STATFILE		"pg_stat/pool_monitor.stat"

/* In the postmaster, when shared memory is made. */
extern void pm_statfile_at_exit(void);

/* In the worker: the first before anything else, the other at every turn. */
extern void pm_statfile_load(void);
extern void pm_statfile_tick(void);

#endif							/* PM_STATFILE_H */
