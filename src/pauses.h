/*
 * pauses.h
 *		When scheduled retirement holds its breath.
 */
#ifndef PM_PAUSES_H
#define PM_PAUSES_H

#include "shmem.h"

extern void pm_pauses_note_retired(int account);
extern bool pm_paused(const PmRules *rules, int pool);

#endif							/* PM_PAUSES_H */
