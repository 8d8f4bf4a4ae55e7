/*
 * trial.c
 *		How checkouts may have come, each way tried with the sizes of then, and chosen as likely
 *		as it is.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "planning/simulate.h"
#include "planning/trial.h"

#define TRIES			8		/* replications of each, at most */
#define TRY_BUDGET		15000	/* arrivals of each, likewise */

/* simulation: of the sizes of then. Allocates in the current memory context, as the others do. */
void
pm_trial_begin(PmTrial *trial, const PmSimulation *simulation, const PmMeasured *measured)
{
	memset(trial, 0, sizeof(PmTrial));
	trial->simulation = *simulation;
	trial->simulation.nshapes = 1;
	trial->simulation.replications = Min(TRIES, simulation->replications);
	trial->simulation.budget = Min(TRY_BUDGET, simulation->budget / 4);
	trial->measured = measured;
	trial->room = 32;
	trial->all = palloc(sizeof(PmTried) * trial->room);
	trial->least = INFINITY;
}

/*
 * Returns how far that is from what was measured; unlikely: twice the logarithm of how unlikely it
 * is by itself.
 */
double
pm_trial_try(PmTrial *trial, PmBurstShape shape, double unlikely)
{
	double		misfit;

	CHECK_FOR_INTERRUPTS();
	trial->simulation.shapes = &shape;
	pm_simulate(&trial->simulation, &trial->simulated);
	trial->simulation.shapes = NULL;
	misfit = unlikely + pm_misfit(&trial->simulated, trial->simulation.replications, trial->measured);
	if (trial->n == trial->room)
	{
		trial->room *= 2;
		trial->all = repalloc(trial->all, sizeof(PmTried) * trial->room);
	}
	trial->all[trial->n++] = (PmTried)
	{
		.shape = shape,.misfit = misfit
	};
	trial->least = Min(trial->least, misfit);
	return misfit;
}

static double
weight(const PmTrial *trial, int i)
{
	return exp((trial->least - trial->all[i].misfit) / 2);
}

/* Of n, each of those that were tried as often as it is likely, in their order. */
PmBurstShape *
pm_trial_choose(const PmTrial *trial, int n)
{
	PmBurstShape *chosen = palloc(sizeof(PmBurstShape) * n);
	double		all = 0;
	double		upto;
	int			i = 0;

	Assert(trial->n > 0);
	for (int j = 0; j < trial->n; j++)
		all += weight(trial, j);
	upto = weight(trial, 0);
	for (int k = 0; k < n; k++)
	{
		while (i < trial->n - 1 && upto < all * (k + 0.5) / n)
			upto += weight(trial, ++i);
		chosen[k] = trial->all[i].shape;
	}
	return chosen;
}
