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
	double		seconds;		/* of all stretches */
} PmParts;

/* These stretches, of which so many seconds count, after a run-up. */
typedef struct PmPart
{
	int			first;
	int			last;
	double		run_up;
	double		seconds;
} PmPart;

extern void pm_parts_init(PmParts *parts, const PmSimulation *what);
extern bool pm_parts_next(const PmParts *parts, const PmSimulation *what, int replication, int n, PmPart *part);

#endif							/* PM_PARTS_H */
