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
#include "planning/simulate.h"

#define TRIES			8		/* replications of each, at most */
#define TRY_BUDGET		15000	/* arrivals of each, likewise */
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
#define FAR				8.0		/* further on they have a 50th of the
								 * replications */

/* Within which a share, a wait (s) is as it was measured: of it, or this. */
#define NEAR			0.2
#define NEAR_SHARE		0.01
#define NEAR_WAIT		0.005

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

#define MOST_TRIED		(lengthof(shapes) * (SMALLER + 1 + LARGER))

typedef struct Tried
{
	PmBurstShape shape;
	double		misfit;
} Tried;

typedef struct Trial
{
	PmSimulation simulation;
	const PmMeasured *measured;
	int			n;
	Tried	   *all;
	double		least;			/* misfit */
} Trial;

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

/* Returns how far that is from what was measured. */
static double
try_shape(Trial *trial, PmBurstShape shape)
{
	PmSimulated simulated;
	double		misfit;

	trial->simulation.shapes = &shape;
	pm_simulate(&trial->simulation, &simulated);
	misfit = pm_misfit(&simulated, trial->simulation.replications, trial->measured);
	misfit += pow(log(shape.size) / USUAL, 2);
	trial->all[trial->n++] = (Tried)
	{
		.shape = shape,.misfit = misfit
	};
	trial->least = Min(trial->least, misfit);
	return misfit;
}

/* Until it is far from the likeliest of this shape. */
static void
try_sizes(Trial *trial, PmBurstShape shape, double step, int most, double least)
{
	for (int i = 0; i < most; i++)
	{
		double		misfit;

		shape.size *= step;
		misfit = try_shape(trial, shape);
		if (misfit > least + FAR)
			break;
		least = Min(least, misfit);
	}
}

/*
 * Whether bursts stay together shows in how long checkouts wait, beside how often all processes
 * are full at once. Of one process it is the same.
 */
static bool
can_tell_together(const Trial *trial)
{
	return trial->simulation.processes > 1 && trial->measured->mean_wait >= 0;
}

static void
try_all(Trial *trial, const PmSimulation *simulation)
{
	trial->simulation = *simulation;
	trial->simulation.nshapes = 1;
	trial->simulation.replications = Min(TRIES, simulation->replications);
	trial->simulation.budget = Min(TRY_BUDGET, simulation->budget / 4);
	trial->n = 0;
	trial->all = palloc(sizeof(Tried) * MOST_TRIED);
	trial->least = INFINITY;
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

static double
weight(const Trial *trial, int i)
{
	return exp((trial->least - trial->all[i].misfit) / 2);
}

/* To each of n as many as it is likely, in order. */
static void
choose(const Trial *trial, PmBurstShape *chosen, int n)
{
	double		all = 0;
	double		upto;
	int			i = 0;

	for (int j = 0; j < trial->n; j++)
		all += weight(trial, j);
	upto = weight(trial, 0);
	for (int k = 0; k < n; k++)
	{
		while (i < trial->n - 1 && upto < all * (k + 0.5) / n)
			upto += weight(trial, ++i);
		chosen[k] = trial->all[i].shape;
	}
}

/*
 * simulation: of the sizes of then; gets the shapes of bursts, and is simulated with them. Allocates
 * in the current memory context.
 */
void
pm_calibrate(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated)
{
	PmSimulation check;

	simulation->shapes = shapes;
	simulation->nshapes = 1;
	if (has_bursts(simulation, measured->ticks))
	{
		PmBurstShape *chosen = palloc(sizeof(PmBurstShape) * simulation->replications);
		Trial		trial = {.measured = measured};

		try_all(&trial, simulation);
		choose(&trial, chosen, simulation->replications);
		pfree(trial.all);
		simulation->shapes = chosen;
		simulation->nshapes = simulation->replications;
	}
	check = *simulation;
	check.budget = Min(CHECK_BUDGET, simulation->budget);
	pm_simulate(&check, simulated);
}

/* Chance counts for the simulation: so much as its interval is wide. */
static bool
is_near(PmEstimate simulated, double measured, double little)
{
	double		most = Max(NEAR * measured, little);

	return measured < 0 || (simulated.low <= measured + most && simulated.high >= measured - most);
}

/* What clients report, of which some gave up or all did, beside what is simulated. */
static char *
beside_reports(const PmMeasured *measured, const PmSimulated *simulated)
{
	const PmEstimate *of = simulated->of;
	bool		near = is_near(of[PM_SIM_MEAN_WAIT], measured->mean_wait, NEAR_WAIT) &&
	is_near(of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, NEAR_SHARE);
	const char *waits = measured->mean_wait < 0 ? "no checkout that got a connection" :
	psprintf("waits of %.4f s for each checkout", measured->mean_wait);

	if (measured->timeouts < 0)
		return psprintf("%s: clients report %s, simulated are %.4f s", near ? "good" : "off", waits, of[PM_SIM_MEAN_WAIT].mean);
	return psprintf("%s: clients report %s and %.2f %% time-outs, simulated are %.4f s and %.2f %%",
					near ? "good" : "off", waits, 100 * measured->timeouts,
					of[PM_SIM_MEAN_WAIT].mean, 100 * of[PM_SIM_TIMEOUT_SHARE].mean);
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
	return !is_near(together.of[PM_SIM_MEAN_WAIT], simulated->of[PM_SIM_MEAN_WAIT].mean, NEAR_WAIT) ||
		!is_near(together.of[PM_SIM_WAIT_P95], simulated->of[PM_SIM_WAIT_P95].mean, NEAR_WAIT);
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
		return beside_reports(measured, simulated);
	if (measured->exhausted >= NEAR_SHARE)
		return psprintf("lower bound: the pool was at its ceiling %.1f %% of the time; %s",
						100 * measured->exhausted, nobody);
	if (measured->exhausted < 0)
		return psprintf("unknown: no time at a ceiling was measured with these sizes; %s", nobody);
	if (!is_near(of[PM_SIM_ALL_FULL], measured->exhausted, NEAR_SHARE))
		verdict = "off";
	else if (may_wait_longer(simulation, measured, simulated))
	{
		verdict = "lower bound";
		bursts = "bursts that come to one process would wait longer; ";
	}
	return psprintf("%s: measured were %.2f %% of the time at the ceiling, simulated are %.2f %%; %s%s",
					verdict, 100 * measured->exhausted, 100 * of[PM_SIM_ALL_FULL].mean, bursts, nobody);
}
