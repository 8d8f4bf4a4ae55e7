/*
 * wake.h
 *		Waking the worker.
 */
#ifndef PM_WAKE_H
#define PM_WAKE_H

#include "base/shmem.h"
#include "storage/latch.h"

extern const PmSection pm_wake_section;

extern void pm_wake_me(Latch *latch);
extern void pm_wake_worker(void);
extern int	pm_worker_pid(void);

#endif							/* PM_WAKE_H */
