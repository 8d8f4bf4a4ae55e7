/*
 * calibrate.c
 *		What a simulation of the sizes of then says beside what was measured then.
 *
 * The dispersion says how large bursts are, not how long one lasts. That follows from what they
 * did: one that comes all at once fills a pool that the same one, spread over seconds, does
 * not. So some shapes are tried with the sizes of then, and the one is taken of which the time
 * above base and at the ceiling, and where clients report them the waits, are nearest to what
 * was measured.
 */
#include "postgres.h"

#include <math.h>

#include "planning/calibrate.h"
#include "planning/simulate.h"

#define TRIES			4		/* replications of each shape, at most */
#define TRY_BUDGET		50000	/* arrivals of each, likewise */
#define SOME_BURSTS		1.2		/* below, the shape hardly matters */

/* Within which a share, a wait (s) is as it was measured: of it, or this. */
#define NEAR			0.2
#define NEAR_SHARE		0.01
#define NEAR_WAIT		0.005

/* The gravest first: it is taken where nothing tells them apart. */
static const PmBurstShape shapes[] = {
	{.spread = 0},
	{.alike = true,.spread = 0},
	{.spread = 0.1},
	{.alike = true,.spread = 0.1},
	{.spread = 0.4},
	{.spread = 1},
	{.spread = 3},
};

static bool
has_bursts(const PmSimulation *what)
{
	double		bursts = 0;
	double		all = 0;

	for (int i = 0; i < what->nstretches; i++)
	{
		bursts += what->stretches[i].seconds * what->stretches[i].rate * what->stretches[i].dispersion;
		all += what->stretches[i].seconds * what->stretches[i].rate;
	}
	return bursts > SOME_BURSTS * all;
}

/* How far one is from the other, as a factor; little counts as this much. */
static double
apart(double simulated, double measured, double little)
{
	double		factor = log((simulated + little) / (measured + little));

	return measured < 0 ? 0 : factor * factor;
}

static double
distance(const PmSimulated *simulated, const PmMeasured *measured)
{
	const PmEstimate *of = simulated->of;

	return apart(of[PM_SIM_ALL_FULL].mean, measured->exhausted, 0.002) +
		apart(of[PM_SIM_OVERFLOW].mean, measured->overflow, 0.01) +
		2 * apart(of[PM_SIM_WAITING].mean, measured->waiting, 0.005) +
		2 * apart(of[PM_SIM_MEAN_WAIT].mean, measured->mean_wait, 0.001);
}

/* simulation: of the sizes of then; gets the shape that comes nearest, and is simulated with it. */
void
pm_calibrate(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated)
{
	int			nshapes = has_bursts(simulation) ? (int) lengthof(shapes) : 1;
	double		least = INFINITY;
	PmSimulation trial = *simulation;
	PmSimulated tried;

	trial.replications = Min(TRIES, simulation->replications);
	trial.budget = Min(TRY_BUDGET, simulation->budget);
	for (int i = 0; i < nshapes; i++)
	{
		double		d;

		trial.shape = shapes[i];
		pm_simulate(&trial, &tried);
		d = distance(&tried, measured);
		if (d < least)
		{
			least = d;
			simulation->shape = trial.shape;
			*simulated = tried;
		}
	}
}

/* Chance counts for the simulation: so much as its interval is wide. */
static bool
is_near(PmEstimate simulated, double measured, double little)
{
	double		most = Max(NEAR * measured, little);

	return measured < 0 || (simulated.low <= measured + most && simulated.high >= measured - most);
}

/* In words. */
char *
pm_calibration(const PmMeasured *measured, const PmSimulated *simulated)
{
	const PmEstimate *of = simulated->of;
	bool		near;

	if (measured->waiting >= 0)
	{
		near = is_near(of[PM_SIM_MEAN_WAIT], measured->mean_wait, NEAR_WAIT) &&
			is_near(of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, NEAR_SHARE);
		return psprintf("%s: clients report waits of %.4f s on average and %.2f %% time-outs, simulated are %.4f s and %.2f %%",
						near ? "good" : "off", measured->mean_wait, 100 * measured->timeouts,
						of[PM_SIM_MEAN_WAIT].mean, 100 * of[PM_SIM_TIMEOUT_SHARE].mean);
	}
	if (measured->exhausted >= NEAR_SHARE)
		return psprintf("lower bound: the pool was at its ceiling %.1f %% of the time and nobody reports",
						100 * measured->exhausted);
	if (measured->exhausted < 0)
		return pstrdup("unknown: no client reports, and no time at a ceiling was measured with these sizes");
	near = is_near(of[PM_SIM_ALL_FULL], measured->exhausted, NEAR_SHARE);
	return psprintf("%s: measured were %.2f %% of the time at the ceiling, simulated are %.2f %%; no client reports its waits",
					near ? "good" : "off", 100 * measured->exhausted, 100 * of[PM_SIM_ALL_FULL].mean);
}
