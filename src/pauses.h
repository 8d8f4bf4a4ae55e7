/*
 * pauses.h
 *		When scheduled retirement holds its breath. All in the worker.
 */
#ifndef PM_PAUSES_H
#define PM_PAUSES_H

#include "shmem.h"

extern void pm_pauses_note_retired(int account);
extern void pm_pauses_tick(const PmRules *rules, bool matters);
extern bool pm_paused(int account);

#endif							/* PM_PAUSES_H */
