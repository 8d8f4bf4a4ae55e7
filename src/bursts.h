/*
 * bursts.h
 *		Connect storms and bursts of refused logins, as events.
 */
#ifndef PM_BURSTS_H
#define PM_BURSTS_H

#include "account.h"
#include "shmem.h"

#define PM_LEARNING_WINDOWS	6	/* after which it is known what is normal */

extern void pm_bursts_tick(const PmRules *rules);

/* What the ticks of this process have seen. */
extern bool pm_bursts_role_in_storm(int account, int i);
extern void pm_bursts_learn(PmNormal *normal, double rate);

#endif							/* PM_BURSTS_H */
