/*
 * parts.h
 *		Which parts of the stretches each replication of a simulation replays. Pure.
 */
#ifndef PM_PARTS_H
#define PM_PARTS_H

#include "planning/simulation.h"

/* All in one piece, or parts of it. */
typedef struct PmParts
{
	int			step;			/* of so many stretches one; 0: all */
	double		budget;			/* of each replication, as arrivals were */
	double		seconds;		/* of all stretches */
	double		run_up;			/* before all of them, in one piece */
} PmParts;

/*
 * These stretches, of which so many seconds count, after a run-up. Of one alone that may be from
 * somewhere in it on.
 */
typedef struct PmPart
{
	int			first;
	int			last;
	double		into;
	double		run_up;
	double		seconds;
	double		weight;			/* of each second: it stands for so many */
} PmPart;

extern double pm_parts_most(const PmSimulation *what);
extern void pm_parts_init(PmParts *parts, const PmSimulation *what);
extern bool pm_parts_next(const PmParts *parts, const PmSimulation *what, int replication, int n, PmPart *part);

#endif							/* PM_PARTS_H */
