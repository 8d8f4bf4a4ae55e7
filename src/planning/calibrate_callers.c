/*
 * calibrate_callers.c
 *		Whether, and how many, callers wait for their answer before they ask again.
 *
 * Nobody tells; but they wait for less than who asks without end, and the fewer they are the less.
 * So where clients report shorter waits than of who asks at random, or ask more evenly than by
 * chance, the load is tried as that of so many callers, from as many as there must have been on
 * average.
 */
#include "postgres.h"

#include <math.h>

#include "planning/calibrate_callers.h"
#include "planning/callers.h"
#include "planning/near.h"
#include "planning/trial.h"

#define STEP			1.08	/* from one number to the next */
#define MOST			50		/* for each connection: as good as without end */
#define MOST_CONNECTIONS	1000	/* above, it would take too long */
#define CHANCE			3.0		/* standard deviations */
#define BETTER			6.0		/* less misfit: by chance once in 70 times, of
								 * one figure (chi square) */

/* Do checkouts wait for longer, or more of them, or give up more, than clients report? */
static bool
waits_longer(const PmMeasured *measured, const PmSimulated *simulated)
{
	const PmEstimate *of = simulated->of;

	return pm_is_above(of[PM_SIM_MEAN_WAIT], measured->mean_wait, PM_NEAR_WAIT) ||
		pm_is_above(of[PM_SIM_WAITING], measured->waiting, PM_NEAR_SHARE) ||
		pm_is_above(of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, PM_NEAR_SHARE);
}

/* Do they come more evenly than at random? Who waits does not ask meanwhile. */
static bool
is_even(const PmMeasured *measured, const PmSimulated *simulated)
{
	double		chance = CHANCE * sqrt(2 / Max(measured->ticks, 1));

	return pm_is_above(simulated->of[PM_SIM_DISPERSION], measured->dispersion, chance * measured->dispersion);
}

/* Little's law: so many checkouts had a connection or waited for one, on average. */
static double
present(const PmSimulation *simulation, double wait)
{
	double		checkouts = 0;
	double		seconds = 0;

	for (int i = 0; i < simulation->nstretches; i++)
	{
		checkouts += simulation->stretches[i].rate * simulation->stretches[i].seconds;
		seconds += simulation->stretches[i].seconds;
	}
	return seconds > 0 ? checkouts / seconds * (simulation->holds->mean + wait) : 0;
}

/* None, where more than that are said to have waited: who reports is not to be trusted. */
static void
try_numbers(PmTrial *trial, int most)
{
	double		wait = trial->measured->mean_wait;
	double		least = Max(ceil(present(&trial->simulation, wait)), 1);

	for (int n = (int) Min(least, most + 1.0); n <= most; n = Max(n + 1, (int) (n * STEP)))
	{
		PmBurstShape shape = {.callers = pm_callers_of(&trial->simulation, n, wait)};
		double		misfit = pm_trial_try(trial, shape, 0);

		if (misfit > trial->least + PM_FAR && trial->simulated.of[PM_SIM_MEAN_WAIT].mean > wait)
			break;
	}
}

static int64
connections_of(const PmSimulation *simulation)
{
	return (int64) simulation->processes * (simulation->pool_size + simulation->max_overflow);
}

static bool
is_bounded(const PmSimulation *simulation)
{
	return simulation->pool_size > 0 && simulation->max_overflow >= 0 && simulation->holds->mean > 0 &&
		connections_of(simulation) <= MOST_CONNECTIONS;
}

/*
 * simulation: of the sizes of then, as it was calibrated without callers; gets them, if that is
 * better than simulated, which it came to. Allocates in the current memory context.
 */
bool
pm_calibrate_callers(PmSimulation *simulation, const PmMeasured *measured, const PmSimulated *simulated)
{
	PmTrial		trial;

	if (!is_bounded(simulation) || measured->mean_wait < 0 ||
		!(is_even(measured, simulated) || waits_longer(measured, simulated)))
		return false;
	pm_trial_begin(&trial, simulation, measured);
	try_numbers(&trial, (int) (MOST * connections_of(simulation)));
	if (trial.least + BETTER >= pm_misfit(simulated, simulation->replications, measured))
		return false;
	simulation->shapes = pm_trial_choose(&trial, simulation->replications);
	simulation->nshapes = simulation->replications;
	return true;
}
