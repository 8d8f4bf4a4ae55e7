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
extern bool pm_bursts_normal(int account, double *normal);	/* connects a second */
extern int64 pm_bursts_last_refused(void);	/* ms, monotonic; 0: none */

#endif							/* PM_BURSTS_H */
