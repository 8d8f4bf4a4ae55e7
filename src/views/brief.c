/*
 * brief.c
 *		A short simulation of a pool of which Erlang's formula is known to be wrong, for
 *		fit() and the advice.
 *
 * Erlang's formula takes checkouts to come at random. It is known to be wrong by WRONG where
 * their measured dispersion, the waits that clients report, or the time at the ceiling say
 * so. Then as much is simulated as a person at a prompt waits for: some tenths of a second
 * for each of PM_BRIEF_MOST pools.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "planning/callers.h"
#include "planning/simulate.h"
#include "planning/sizing.h"
#include "pools/columns.h"
#include "views/brief.h"

#define WRONG			3.0		/* by this factor */
#define SOME			0.01	/* a share that counts */
#define SOME_WAIT		0.1		/* of the use: a wait that counts, if it is */
#define LEAST_WAIT		0.005	/* so many seconds, too */
#define MOSTLY			0.8		/* in transactions: else these are not the
								 * load */
#define SOME_CHECKOUTS	100		/* reported: below, it is chance */
#define REPLICATIONS	4
#define ARRIVALS		10000	/* of each */

/* ---- is it wrong? ---- */

/* Of one checkout, in seconds. */
static double
use_of(const PmReplay *replay)
{
	return replay->use.known ? replay->use.mean : replay->work.busy / 1000000.0 / replay->work.transactions;
}

static bool
reports_count(const PmReplay *replay)
{
	return replay->measured.waiting >= 0 && (uint64) replay->work.checkouts + replay->work.checkout_timeouts >= SOME_CHECKOUTS;
}

static bool
differ(double measured, double low, double high)
{
	return (measured >= SOME && measured > WRONG * high) || (low >= SOME && measured < low / WRONG);
}

/* Do those that report wait for about as long? As many may wait, and each for far longer, or not. */
static bool
waits_differ(const PmReplay *replay, double expected)
{
	double		measured = replay->measured.mean_wait;
	double		some = Max(SOME_WAIT * use_of(replay), LEAST_WAIT);

	return measured >= 0 &&
		((measured >= some && measured > WRONG * expected) || (expected >= some && measured < expected / WRONG));
}

/*
 * Of the load on average, as fit() and the advice take it. All processes are full at once
 * between the product of their chances, or of one shared queue, and that of a single one.
 */
static bool
erlang_is_wrong(const PmReplay *replay, const PmPool *pool)
{
	int			processes = pool->servers * pool->workers;
	double		load = replay->work.busy / (replay->work.seen * 1000.0);
	double		isolated;
	double		all;

	if (replay->dispersion >= WRONG || replay->use.in_transaction < MOSTLY)
		return true;
	if (pool->ceiling <= 0)
		return false;
	isolated = pm_erlang_c(pool->ceiling / processes, load / processes);
	all = Min(pm_erlang_c(pool->ceiling, load), pow(isolated, processes));
	if (reports_count(replay))
		return differ(replay->measured.waiting + replay->measured.timeouts, isolated, isolated) ||
			waits_differ(replay, pm_mean_wait(pool->ceiling / processes, load / processes, use_of(replay)));
	return replay->measured.exhausted >= 0 && differ(replay->measured.exhausted, all, isolated);
}

/*
 * Is the simulation, too? What clients report is what it is about; but load that they make up, as
 * time-outs, has all connections busy for longer than the server saw.
 */
static bool
simulation_is_wrong(const PmReplay *replay, const PmSimulated *simulated)
{
	const PmMeasured *measured = &replay->measured;
	const PmEstimate *of = simulated->of;
	double		gave_up = of[PM_SIM_TIMEOUT_SHARE].mean;
	double		waiting = of[PM_SIM_WAITING].mean + gave_up;
	double		exhausted = of[PM_SIM_ALL_FULL].mean;

	if (!reports_count(replay))
		return measured->exhausted >= 0 && differ(measured->exhausted, exhausted, exhausted);
	return differ(measured->waiting + measured->timeouts, waiting, waiting) ||
		differ(measured->timeouts, gave_up, gave_up) ||
		waits_differ(replay, of[PM_SIM_MEAN_WAIT].mean) ||
		(measured->exhausted >= 0 && exhausted >= SOME && exhausted > WRONG * measured->exhausted);
}

/* ---- what sizes come to ---- */

static double
seconds_of(const PmReplay *replay)
{
	double		seconds = 0;

	for (int i = 0; i < replay->n; i++)
		seconds += replay->stretches[i].seconds;
	return seconds;
}

/* Checkouts a second. Callers ask the more, the less they wait. */
static double
rate_of(const PmBrief *brief, const PmSimulated *simulated)
{
	const PmSimulation *declared = &brief->declared;

	for (int i = 0; i < declared->nshapes; i++)
	{
		if (declared->shapes[i].callers != NULL)
			return simulated->of[PM_SIM_THROUGHPUT].mean + simulated->of[PM_SIM_TIMEOUTS].mean / Max(seconds_of(&brief->replay), 1);
	}
	return pm_rate_of(declared);
}

/* Unbounded pools may have more processes than any server has connections: not so much is laid out. */
static bool
is_too_large(const PmPool *pool)
{
	return (int64) pool->servers * pool->workers * Max(pool->pool_size, 1) > PM_MOST_CONNECTIONS;
}

/*
 * False: Erlang's formula is not known to be wrong, or there is nothing to be simulated, or it
 * is too large for that.
 */
bool
pm_brief_begin(PmBrief *brief, const PmPool *pool, int account, PmSpan span)
{
	PmQuestion	question = {.name = (char *) pool->name,.pool = pool,.account = account,.span = span};
	PmSimulated as_it_was;

	if (is_too_large(pool) || pm_replay_take(&brief->replay, &question) != NULL || !erlang_is_wrong(&brief->replay, pool))
		return false;
	brief->pool = pool;
	brief->declared = pm_replay_declared(&brief->replay, pool);
	brief->declared.replications = REPLICATIONS;
	brief->declared.budget = ARRIVALS;
	pm_calibrate(&brief->declared, &brief->replay.measured, &as_it_was);
	brief->is_off = brief->replay.other_sizes != NULL || simulation_is_wrong(&brief->replay, &as_it_was);
	return true;
}

/* Of each process. The same checkouts come, whatever the sizes; or callers ask. */
PmBriefAnswer
pm_brief_ask(const PmBrief *brief, int pool_size, int max_overflow)
{
	PmSimulation asked = brief->declared;
	PmSimulated simulated;
	double		gave_up;

	CHECK_FOR_INTERRUPTS();
	asked.pool_size = pool_size;
	asked.max_overflow = max_overflow;
	pm_simulate(&asked, &simulated);
	gave_up = simulated.of[PM_SIM_TIMEOUT_SHARE].mean;
	return (PmBriefAnswer)
	{
		/* by Little's law, those that give up among them */
		.queue = rate_of(brief, &simulated) *
			((1 - gave_up) * simulated.of[PM_SIM_MEAN_WAIT].mean + gave_up * asked.pool_timeout),
			.waiting = simulated.of[PM_SIM_WAITING].mean,
			.timeouts = gave_up
	};
}

/* ---- and all sizes ---- */

typedef struct Point
{
	int			size;
	double		queue;
} Point;

/* Is b, between the two, above the line from a to c? */
static bool
is_above(Point a, Point b, Point c)
{
	return (b.queue - a.queue) * (c.size - a.size) >= (c.queue - a.queue) * (b.size - a.size);
}

/* Adds a point, and takes away what it shows to be no corner; returns how many there are. */
static int
keep_convex(Point *points, int n, Point next)
{
	if (n > 0)
		next.queue = Min(next.queue, points[n - 1].queue);
	while (n > 1 && is_above(points[n - 2], points[n - 1], next))
		n--;
	points[n] = next;
	return n + 1;
}

static double *
join(const Point *points, int n, int *size)
{
	int			least = points[0].size;
	double	   *curve = palloc(sizeof(double) * (points[n - 1].size - least + 1));

	*size = points[n - 1].size - least + 1;
	curve[0] = points[0].queue;
	for (int i = 1; i < n; i++)
	{
		double		slope = (points[i].queue - points[i - 1].queue) / (points[i].size - points[i - 1].size);

		for (int at = points[i - 1].size + 1; at <= points[i].size; at++)
			curve[at - least] = points[i - 1].queue + slope * (at - points[i - 1].size);
	}
	return curve;
}

/*
 * How many checkouts wait in each process, with least connections and each size above it, of
 * which base are kept open:
 * until no more than worth wait, or most. Not every size is simulated, but 1, 2, 4 and so on
 * above the least, and below is the convex hull of these: as marginal analysis needs it, and
 * chance has little to say. n: how many sizes. Allocates in the current memory context.
 */
double *
pm_brief_curve(const PmBrief *brief, int base, int least, int most, double worth, int *n)
{
	Point		points[32];
	int			npoints = 0;

	for (int more = 0; npoints < (int) lengthof(points); more = Max(2 * more, 1))
	{
		Point		point = {.size = Min(least + more, Max(most, least))};
		int			kept = Min(base, point.size);

		point.queue = pm_brief_ask(brief, kept, point.size - kept).queue / brief->declared.processes;
		npoints = keep_convex(points, npoints, point);
		if (point.queue <= worth || point.size >= most)
			break;
	}
	return join(points, npoints, n);
}
