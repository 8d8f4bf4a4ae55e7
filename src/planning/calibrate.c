/*
 * calibrate.c
 *		What a simulation of the sizes of then says beside what was measured then.
 *
 * The dispersion says how large bursts are, not how long one lasts; and of a pool at its ceiling
 * not even that, as it lets checkouts through as evenly as connections are given back. Both
 * follow from what they did: a burst that comes all at once fills a pool that the same one,
 * spread over seconds, does not. So bursts of several shapes and sizes are tried with the sizes
 * of then, and the replications get those with which what was measured is likely, as many as
 * it is likely with each (likely.c). What nothing tells apart is in the interval of the answer,
 * therefore: nearest alone would be a matter of chance.
 */
#include "postgres.h"

#include <math.h>

#include "planning/calibrate.h"
#include "planning/calibrate_callers.h"
#include "planning/near.h"
#include "planning/simulate.h"
#include "planning/trial.h"

#define CHECK_BUDGET	50000	/* of those that are found */
#define SOME_BURSTS		0.2		/* dispersion above 1; below, the shape hardly
								 * matters */
#define CHANCE			3.0		/* and below so many standard deviations of it
								 * there need be none */

/* Sizes: by this factor from one to the next, so many smaller and larger ones. */
#define STEP			1.2
#define SMALLER			4
#define LARGER			10
#define USUAL			0.7		/* as a logarithm, they are mostly no farther
								 * from what was measured */
static const PmBurstShape shapes[] = {
	{.size = 1,.spread = 0},
	{.size = 1,.alike = true,.spread = 0},
	{.size = 1,.spread = 0.1},
	{.size = 1,.alike = true,.spread = 0.1},
	{.size = 1,.spread = 0.4},
	{.size = 1,.spread = 1},
	{.size = 1,.spread = 3},
	{.size = 1,.together = true,.spread = 0},
	{.size = 1,.together = true,.alike = true,.spread = 0},
	{.size = 1,.together = true,.spread = 0.4},
	{.size = 1,.together = true,.spread = 3},
};

static bool
has_bursts(const PmSimulation *what, double ticks)
{
	double		bursts = 0;
	double		all = 0;

	for (int i = 0; i < what->nstretches; i++)
	{
		bursts += what->stretches[i].seconds * what->stretches[i].rate * what->stretches[i].dispersion;
		all += what->stretches[i].seconds * what->stretches[i].rate;
	}
	return bursts > (1 + Max(SOME_BURSTS, CHANCE * sqrt(2 / Max(ticks, 1)))) * all;
}

static double
try_shape(PmTrial *trial, PmBurstShape shape)
{
	return pm_trial_try(trial, shape, pow(log(shape.size) / USUAL, 2));
}

/* Until it is far from the likeliest of this shape. */
static void
try_sizes(PmTrial *trial, PmBurstShape shape, double step, int most, double least)
{
	for (int i = 0; i < most; i++)
	{
		double		misfit;

		shape.size *= step;
		misfit = try_shape(trial, shape);
		if (misfit > least + PM_FAR)
			break;
		least = Min(least, misfit);
	}
}

/*
 * Whether bursts stay together shows in how long checkouts wait, beside how often all processes
 * are full at once. Of one process it is the same.
 */
static bool
can_tell_together(const PmTrial *trial)
{
	return trial->simulation.processes > 1 && trial->measured->mean_wait >= 0;
}

static void
try_all(PmTrial *trial)
{
	for (int i = 0; i < (int) lengthof(shapes); i++)
	{
		double		misfit;

		if (shapes[i].together && !can_tell_together(trial))
			continue;
		misfit = try_shape(trial, shapes[i]);
		try_sizes(trial, shapes[i], STEP, LARGER, misfit);
		try_sizes(trial, shapes[i], 1 / STEP, SMALLER, misfit);
	}
}

/* Is it as clients report? */
static bool
is_as_reported(const PmMeasured *measured, const PmSimulated *simulated)
{
	return pm_is_near(simulated->of[PM_SIM_MEAN_WAIT], measured->mean_wait, PM_NEAR_WAIT) &&
		pm_is_near(simulated->of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, PM_NEAR_SHARE);
}

/*
 * simulation: of the sizes of then; gets the shapes of bursts, or the callers, and is simulated with
 * them. Allocates in the current memory context.
 */
void
pm_calibrate(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated)
{
	bool		bursts = has_bursts(simulation, measured->ticks);
	PmSimulation check;

	simulation->shapes = shapes;
	simulation->nshapes = 1;
	if (bursts)
	{
		PmTrial		trial;

		pm_trial_begin(&trial, simulation, measured);
		try_all(&trial);
		simulation->shapes = pm_trial_choose(&trial, simulation->replications);
		simulation->nshapes = simulation->replications;
	}
	check = *simulation;
	check.budget = Min(CHECK_BUDGET, simulation->budget);
	pm_simulate(&check, simulated);
	if (!bursts)
		pm_calibrate_callers(simulation, measured, simulated, check.budget);
}

/* In words; nothing, if they ask at random of any process. */
static const char *
who_asks(const PmSimulation *simulation)
{
	int			least = PG_INT32_MAX;
	int			most = 0;
	bool		in_turn = false;
	char	   *callers = "";

	for (int i = 0; i < simulation->nshapes; i++)
	{
		const PmCallers *some = simulation->shapes[i].callers;

		in_turn |= simulation->shapes[i].in_turn;
		least = Min(least, some ? some->n : least);
		most = Max(most, some ? some->n : most);
	}
	if (most > 0)
		callers = psprintf("; callers that wait for their answer before they ask again: %d%s", least,
						   least == most ? "" : psprintf(" to %d", most));
	return psprintf("%s%s", callers, !in_turn ? "" : most > 0 ? ", or each process in turn" : "; each process in turn");
}

/* What clients report, of which some gave up or all did, beside what is simulated. */
static char *
beside_reports(const PmMeasured *measured, const PmSimulation *simulation, const PmSimulated *simulated)
{
	const PmEstimate *of = simulated->of;
	bool		near = is_as_reported(measured, simulated);
	const char *waits = measured->mean_wait < 0 ? "no checkout that got a connection" :
	psprintf("waits of %.4f s for each checkout", measured->mean_wait);
	const char *timeouts = measured->timeouts < 0 ? "" : psprintf(" and %.2f %% time-outs", 100 * measured->timeouts);
	const char *simulated_timeouts = measured->timeouts < 0 ? "" : psprintf(" and %.2f %%", 100 * of[PM_SIM_TIMEOUT_SHARE].mean);

	return psprintf("%s: clients report %s%s, simulated are %.4f s%s%s", near ? "good" : "off", waits, timeouts,
					of[PM_SIM_MEAN_WAIT].mean, simulated_timeouts, who_asks(simulation));
}

/*
 * That bursts come to one process shows nowhere but in waits, which nobody reports. Would these be
 * others, if they did?
 */
static bool
may_wait_longer(const PmSimulation *simulation, const PmMeasured *measured, const PmSimulated *simulated)
{
	PmSimulation check = *simulation;
	PmBurstShape *shapes_together;
	PmSimulated together;

	if (check.processes == 1 || !has_bursts(simulation, measured->ticks))
		return false;
	shapes_together = palloc(sizeof(PmBurstShape) * check.nshapes);
	for (int i = 0; i < check.nshapes; i++)
	{
		shapes_together[i] = check.shapes[i];
		shapes_together[i].together = true;
	}
	check.shapes = shapes_together;
	check.budget = Min(CHECK_BUDGET, simulation->budget);
	pm_simulate(&check, &together);
	pfree(shapes_together);
	return !pm_is_near(together.of[PM_SIM_MEAN_WAIT], simulated->of[PM_SIM_MEAN_WAIT].mean, PM_NEAR_WAIT) ||
		!pm_is_near(together.of[PM_SIM_WAIT_P95], simulated->of[PM_SIM_WAIT_P95].mean, PM_NEAR_WAIT);
}

/* In words. simulation: as it was calibrated. */
char *
pm_calibration(const PmMeasured *measured, const PmSimulation *simulation, const PmSimulated *simulated)
{
	const PmEstimate *of = simulated->of;
	const char *verdict = "good";
	const char *nobody = measured->few_reports ? "too few checkouts are reported" : "no waits are reported of this time and these sizes";
	const char *bursts = "";

	if (measured->mean_wait >= 0 || measured->timeouts >= 0)
		return beside_reports(measured, simulation, simulated);
	if (measured->exhausted >= PM_NEAR_SHARE)
		return psprintf("lower bound: the pool was at its ceiling %.1f %% of the time; %s",
						100 * measured->exhausted, nobody);
	if (measured->exhausted < 0)
		return psprintf("unknown: no time at a ceiling was measured with these sizes; %s", nobody);
	if (!pm_is_near(of[PM_SIM_ALL_FULL], measured->exhausted, PM_NEAR_SHARE))
		verdict = "off";
	else if (may_wait_longer(simulation, measured, simulated))
	{
		verdict = "lower bound";
		bursts = "bursts that come to one process would wait longer; ";
	}
	return psprintf("%s: measured were %.2f %% of the time at the ceiling, simulated are %.2f %%; %s%s",
					verdict, 100 * measured->exhausted, 100 * of[PM_SIM_ALL_FULL].mean, bursts, nobody);
}
