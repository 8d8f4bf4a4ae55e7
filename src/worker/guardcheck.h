/*
 * guardcheck.h
 *		Is the guard's count right? The worker's.
 */
#ifndef PM_GUARDCHECK_H
#define PM_GUARDCHECK_H

#include "pools/declared.h"
#include "sessions/tally.h"

/* One seat, and what goes with it, at one moment. */
typedef struct PmSeatMoment
{
	uint64		word;
	uint64		came;			/* sessions, to its account */
	int			entering;		/* logins on their way */
} PmSeatMoment;

/* Before the sessions are counted; allocates in the current memory context. */
extern PmSeatMoment *pm_guard_moments(void);

/* After that: moments of before, and how many sessions were counted. */
extern void pm_guard_check(const PmSeatMoment *before, const PmRules *rules, const PmCounts *pools,
						   const PmCounts *undeclared);

#endif							/* PM_GUARDCHECK_H */
