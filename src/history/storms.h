/*
 * storms.h
 *		Connect storms and bursts of refused logins, as events.
 */
#ifndef PM_STORMS_H
#define PM_STORMS_H

#include "accounts/account.h"
#include "base/shmem.h"

#define PM_LEARNING_WINDOWS	6	/* after which it is known what is normal */

extern void pm_bursts_tick(const PmRules *rules);

/* What the ticks of this process have seen. */
extern bool pm_bursts_role_in_storm(int account, int i);
extern void pm_bursts_learn(PmNormal *normal, double rate);

#endif							/* PM_STORMS_H */
