/*
 * trial.h
 *		How checkouts may have come, each way tried with the sizes of then, and chosen as likely
 *		as it is. As simulate.h.
 */
#ifndef PM_TRIAL_H
#define PM_TRIAL_H

#include "planning/likely.h"

#define PM_FAR		8.0			/* further on they have a 50th of the
								 * replications */

typedef struct PmTried
{
	PmBurstShape shape;
	double		misfit;
} PmTried;

typedef struct PmTrial
{
	PmSimulation simulation;
	const PmMeasured *measured;
	PmSimulated simulated;		/* of the last one that was tried */
	int			n;
	int			room;
	PmTried    *all;
	double		least;			/* misfit */
} PmTrial;

extern void pm_trial_begin(PmTrial *trial, const PmSimulation *simulation, const PmMeasured *measured);
extern double pm_trial_try(PmTrial *trial, PmBurstShape shape, double unlikely);
extern PmBurstShape *pm_trial_choose(const PmTrial *trial, int n);

#endif							/* PM_TRIAL_H */
