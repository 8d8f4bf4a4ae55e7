/*
 * statread.h
 *		Reads the file of statistics.
 */
#ifndef PM_STATREAD_H
#define PM_STATREAD_H

/* What an earlier run has written; logs what came of it. */
extern void pm_statfile_read(void);

#endif							/* PM_STATREAD_H */
