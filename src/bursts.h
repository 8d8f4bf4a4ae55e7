/*
 * bursts.h
 *		Connect storms and bursts of refused logins, as events.
 */
#ifndef PM_BURSTS_H
#define PM_BURSTS_H

#include "shmem.h"

extern void pm_bursts_tick(const PmRules *rules);

/* What the ticks of this process have seen. */
extern bool pm_bursts_in_storm(int account);
extern bool pm_bursts_own_storm(int account);
extern bool pm_bursts_normal(int account, double *normal);	/* connects a second */
extern bool pm_bursts_own_normal(int account, double *normal);
extern void pm_bursts_learn(int account, double connects);

#endif							/* PM_BURSTS_H */
