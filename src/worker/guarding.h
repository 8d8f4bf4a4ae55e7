/*
 * guarding.h
 *		Puts the guards in force that are declared. The worker's, at each tick.
 */
#ifndef PM_GUARDING_H
#define PM_GUARDING_H

#include "pools/declared.h"
#include "sessions/tally.h"
#include "worker/guardcheck.h"

/* From before the sessions of a tick are counted. */
typedef struct PmGuarding
{
	uint32		changes;		/* of the declarations until then */
	PmSeatMoment *moments;
} PmGuarding;

extern void pm_guarding_begin(PmGuarding *guarding);

/* After they are all where they belong by these rules, which are still in force. */
extern void pm_guarding_tick(const PmGuarding *guarding, const PmRules *rules, const PmCounts *pools,
							 const PmCounts *undeclared);

/* Do declarations wait for a tick? */
extern bool pm_guarding_is_behind(void);

#endif							/* PM_GUARDING_H */
