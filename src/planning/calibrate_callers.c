/*
 * calibrate_callers.c
 *		Whether, and how many, callers wait for their answer before they ask again.
 *
 * Nobody tells; but they wait for less than who asks without end, and the fewer they are the less.
 * So where clients report shorter waits than of who asks at random, or ask more evenly than by
 * chance, the load is tried as that of so many callers. Or something before the processes, that
 * gives to each in turn, spreads evenly what comes at random: that is tried beside it.
 */
#include "postgres.h"

#include <math.h>

#include "planning/calibrate_callers.h"
#include "planning/callers.h"
#include "planning/near.h"
#include "planning/simulate.h"
#include "planning/trial.h"

#define STEP			1.08	/* from one number to the next */
#define MOST			50		/* for each connection: as good as without end */
#define MOST_CONNECTIONS	1000	/* above, it would take too long */
#define PARTS			4		/* of the budget: so many parts can begin with
								 * all callers */
#define CHANCE			3.0		/* standard deviations */
#define EVEN			0.2		/* dispersions below are alike: it takes holds
								 * that are all alike */
#define BETTER			10.0	/* less misfit, as many numbers are tried; by
								 * which the past is 150 times as likely */
#define LOST			0.95	/* of the checkouts: less are too few callers */
#define WRONG			2.0		/* by this factor, of what the server saw */

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

/* The busiest stretch has had so many at once, but for its chance (Little's law). */
static double
present(const PmSimulation *simulation, PmTurn turn)
{
	double		most = pm_rate_of(simulation) * (turn.hold + turn.wait);

	for (int i = 0; i < simulation->nstretches; i++)
		most = Max(most, LOST * simulation->stretches[i].rate * turn.hold);
	return most;
}

/*
 * Until they are more than is likely. None, where more than most are said to have waited: who reports
 * is not to be trusted.
 */
static void
try_numbers(PmTrial *trial, PmTurn turn, int most)
{
	double		least = INFINITY;
	int			n = (int) Min(Max(ceil(present(&trial->simulation, turn)), 1), most + 1.0);

	for (; n <= most; n = Max(n + 1, (int) (n * STEP)))
	{
		PmBurstShape shape = {.callers = pm_callers_of(&trial->simulation, n, turn)};
		double		misfit = pm_trial_try(trial, shape, 0);

		if (misfit > least + PM_FAR && trial->simulated.of[PM_SIM_MEAN_WAIT].mean >= trial->measured->mean_wait)
			break;
		least = Min(least, misfit);
	}
}

static void
try_turns(PmTrial *trial)
{
	PmBurstShape shape = {.size = 1,.in_turn = true};

	if (trial->simulation.processes > 1 && trial->simulation.shares->n == 0)
		pm_trial_try(trial, shape, 0);
}

static PmTurn
turn_of(const PmSimulation *simulation, const PmMeasured *measured)
{
	double		gave_up = Min(Max(measured->timeouts, 0), 1);

	return (PmTurn)
	{
		.hold = (1 - gave_up) * simulation->holds->mean,
			.wait = (1 - gave_up) * measured->mean_wait + gave_up * simulation->pool_timeout
	};
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
		pm_rate_of(simulation) > 0 &&
		connections_of(simulation) <= MOST_CONNECTIONS;
}

static bool
is_about(PmEstimate simulated, double measured, double little)
{
	return measured < 0 || (simulated.mean <= WRONG * Max(measured, little) && measured <= WRONG * Max(simulated.mean, little));
}

/*
 * Is what was measured explained, as clients report it, and as the server saw it? Who lies of the
 * former does not lie of the latter.
 */
static bool
explains(const PmSimulated *simulated, const PmMeasured *measured)
{
	const PmEstimate *of = simulated->of;
	double		chance = CHANCE * sqrt(2 / Max(measured->ticks, 1));

	return pm_is_near(of[PM_SIM_MEAN_WAIT], measured->mean_wait, PM_NEAR_WAIT) &&
		pm_is_near(of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, PM_NEAR_SHARE) &&
		of[PM_SIM_THROUGHPUT].mean >= LOST * measured->throughput &&
		is_about(of[PM_SIM_ALL_FULL], measured->exhausted, PM_NEAR_SHARE) &&
		is_about(of[PM_SIM_DISPERSION], measured->dispersion, Max(EVEN, chance * Max(of[PM_SIM_DISPERSION].mean, measured->dispersion)));
}

/* Those with whom the past is likely, in simulation. What is there is tried as they are. */
static bool
find_callers(PmSimulation *simulation, const PmMeasured *measured)
{
	int64		most = Min(MOST * connections_of(simulation), simulation->budget / PARTS);
	PmTrial		trial;
	double		before;

	pm_trial_begin(&trial, simulation, measured);
	before = pm_trial_try(&trial, simulation->shapes[0], 0);
	pm_trial_begin(&trial, simulation, measured);
	most = Min(most, trial.simulation.budget / PARTS);
	try_turns(&trial);
	try_numbers(&trial, turn_of(simulation, measured), (int) most);
	if (!(trial.least + BETTER < before))
		return false;
	simulation->shapes = pm_trial_choose(&trial, simulation->replications);
	simulation->nshapes = simulation->replications;
	return true;
}

/*
 * simulation: of the sizes of then, as it was calibrated without callers, and what it came to with
 * so many arrivals; both get callers, if these explain what was measured, and better. Only if most
 * checkouts are reported: it is about all of them. Allocates in the current memory context.
 */
void
pm_calibrate_callers(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated, int64 budget)
{
	PmSimulation callers = *simulation;
	PmMeasured	all = *measured;
	PmSimulated of_callers;

	if (!is_bounded(simulation) || measured->mean_wait < 0 || !measured->most_reported ||
		!(is_even(measured, simulated) || waits_longer(measured, simulated)))
		return;
	all.throughput = (1 - Max(measured->timeouts, 0)) * pm_rate_of(simulation);
	if (!find_callers(&callers, &all))
		return;
	callers.budget = budget;
	pm_simulate(&callers, &of_callers);
	callers.budget = simulation->budget;
	if (!explains(&of_callers, &all))
		return;
	*simulation = callers;
	*simulated = of_callers;
}
