/*
 * near.h
 *		Whether a simulation comes to what was measured. Pure.
 */
#ifndef PM_NEAR_H
#define PM_NEAR_H

#include "planning/totals.h"

/* Within which a share, a wait (s) is as it was measured: of it, or this. */
#define PM_NEAR			0.2
#define PM_NEAR_SHARE	0.01
#define PM_NEAR_WAIT	0.005

/* Chance counts for the simulation: so much as its interval is wide. What was not measured is less than 0. */
static inline bool
pm_is_above(PmEstimate simulated, double measured, double little)
{
	return measured >= 0 && simulated.low > measured + Max(PM_NEAR * measured, little);
}

static inline bool
pm_is_near(PmEstimate simulated, double measured, double little)
{
	return measured < 0 || (!pm_is_above(simulated, measured, little) &&
							simulated.high >= measured - Max(PM_NEAR * measured, little));
}

#endif							/* PM_NEAR_H */
