/*
 * statfile.h
 *		The statistics in a file, from one run of the server to the next.
 */
#ifndef PM_STATFILE_H
#define PM_STATFILE_H

#include "base/shmem.h"
#include "datatype/timestamp.h"

extern const PmSection pm_statfile_section;

/* In the worker: the first before anything else, the other at every turn. */
extern void pm_statfile_load(void);
extern void pm_statfile_tick(void);

/* For others. */
extern void pm_statfile_look(TimestampTz *saved_at, int *error);

#endif							/* PM_STATFILE_H */
