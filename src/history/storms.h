/*
 * storms.h
 *		Connect storms and bursts of refused logins, as events.
 */
#ifndef PM_STORMS_H
#define PM_STORMS_H

#include "accounts/roles.h"
#include "pools/declared.h"

#define PM_LEARNING_WINDOWS	6	/* after which it is known what is normal */

extern void pm_storms_tick(const PmRules *rules);

/* What the ticks of this process have seen. */
extern bool pm_storms_role_in_one(int account, int i);
extern void pm_storms_learn(PmNormal *normal, double rate);

#endif							/* PM_STORMS_H */
