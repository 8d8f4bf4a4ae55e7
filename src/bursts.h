/*
 * bursts.h
 *		Connect storms and bursts of refused logins, as events.
 */
#ifndef PM_BURSTS_H
#define PM_BURSTS_H

#include "shmem.h"

extern void pm_bursts_tick(const PmRules *rules);

#endif							/* PM_BURSTS_H */
