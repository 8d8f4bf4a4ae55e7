/*
 * simulate_past.h
 *		What simulate() replays: what was measured of a pool.
 */
#ifndef PM_SIMULATE_PAST_H
#define PM_SIMULATE_PAST_H

#include "history/workload.h"
#include "planning/calibrate.h"
#include "planning/uneven.h"
#include "views/simulate_question.h"
#include "views/simulate_use.h"

typedef struct PmReplay
{
	PmStretch  *stretches;		/* with a load of 1 */
	int			n;
	double		tick;			/* s, on average */
	double		dispersion;		/* of checkouts */
	PmUse		use;
	PmWorkload	work;
	PmHolds		holds;
	PmDurations setups;
	PmMeasured	measured;		/* since the sizes are what they are */
	double		all_busy;		/* likewise: share of time with all in a
								 * transaction; PM_NOT_MEASURED */
	PmRates		rates;			/* as the processes report */
	char	   *other_sizes;	/* as one reports it, which are not declared;
								 * NULL: none does */
} PmReplay;

extern const char *pm_replay_take(PmReplay *replay, const PmQuestion *question);
extern PmSimulation pm_replay_declared(const PmReplay *replay, const PmPool *pool);

#endif							/* PM_SIMULATE_PAST_H */
