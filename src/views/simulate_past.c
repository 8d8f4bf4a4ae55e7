/*
 * simulate_past.c
 *		What simulate() replays: what was measured of a pool.
 */
#include "postgres.h"

#include <math.h>

#include "accounts/account.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/guc.h"
#include "client/reports.h"
#include "client/speaks.h"
#include "history/arrivals.h"
#include "views/simulate_past.h"

#define AROUND			5		/* minutes before and after, for the
								 * dispersion */
#define ALIKE			3		/* dispersions that differ by no more */
#define BEFORE_REPORTS	INT64CONST(15000000)	/* us, for which a process is
												 * there before its first
												 * report, about */
#define SOME_REPORTED	100		/* checkouts, or half of all: fewer say
								 * nothing of the pool */
#define SOME_COVER		0.5		/* of the checkouts are most */
#define MINUTE			INT64CONST(60000000)	/* us */

/* ---- minutes ---- */

/*
 * Of the minutes around, or of this one alone where that differs by more than chance: of so
 * many ticks it does by sqrt(2 / ticks), as a variance.
 */
static double
dispersion_of(const PmRingCopy *minutes, int i)
{
	int			first = Max(i - AROUND, 0);
	int			end = Min(i + AROUND + 1, minutes->count);
	double		around = pm_dispersion(&minutes->buckets[first], end - first);
	double		alone = pm_dispersion(&minutes->buckets[i], 1);

	if (around == PM_DISPERSION_UNKNOWN)
		return 1;
	if (alone != PM_DISPERSION_UNKNOWN && fabs(alone - around) > 3 * sqrt(2.0 / minutes->buckets[i].ticks) * around)
		return alone;
	return around;
}

/* The minutes around that have bursts of about the size of this one's; as many as there are. */
static int
alike_around(const PmStretch *stretches, int n, int i, PmStretch *alike)
{
	double		mine = Max(stretches[i].dispersion, 1);
	int			nalike = 0;

	for (int j = Max(i - AROUND, 0); j < Min(i + AROUND + 1, n); j++)
	{
		double		other = Max(stretches[j].dispersion, 1);

		if (other <= ALIKE * mine && mine <= ALIKE * other)
			alike[nalike++] = stretches[j];
	}
	return nalike;
}

/* Checkouts, and seconds in which they came. */
static double
count_of(const PmStretch *stretches, int n, double *seconds)
{
	double		count = 0;

	*seconds = 0;
	for (int i = 0; i < n; i++)
	{
		count += stretches[i].rate * stretches[i].seconds;
		*seconds += stretches[i].seconds;
	}
	return count;
}

/* How far the rates of these differ, as a variance, by how far chance makes them. */
static double
beside_chance(const PmStretch *stretches, int n, double rate, double dispersion)
{
	double		squares = 0;

	for (int i = 0; i < n; i++)
		squares += (stretches[i].rate - rate) * (stretches[i].rate - rate) * stretches[i].seconds;
	return rate > 0 ? squares / (n - 1) / (dispersion * rate) : 0;
}

/*
 * What a minute has by chance is not its rate, and the replay has chance of its own: taken
 * for one it would count twice, and waits, which grow faster than the load, with it. So each
 * goes towards the rate of the minutes around by the share of their differences that is
 * chance's (W. James and C. Stein, "Estimation with Quadratic Loss", 1961, towards the mean of
 * the n: B. Efron and C. Morris, "Data Analysis Using Stein's Estimator", 1975). Of fewer than
 * four nothing can be said.
 */
static double
rate_without_chance(const PmStretch *stretches, int n, int i)
{
	PmStretch	alike[2 * AROUND + 1];
	int			nalike = alike_around(stretches, n, i, alike);
	double		share = (nalike - 3.0) / Max(nalike - 1, 1);
	double		seconds;
	double		rate;
	double		apart;

	if (nalike < 4)
		return stretches[i].rate;
	rate = count_of(alike, nalike, &seconds) / seconds;
	apart = beside_chance(alike, nalike, rate, Max(stretches[i].dispersion, 1));
	return rate + (apart > share ? 1 - share / apart : 0) * (stretches[i].rate - rate);
}

/* None gets lost: they are as many as they were. */
static void
take_chance_out(PmStretch *stretches, int n)
{
	double	   *rates = palloc(sizeof(double) * Max(n, 1));
	double		seconds;
	double		before = count_of(stretches, n, &seconds);
	double		after;

	for (int i = 0; i < n; i++)
		rates[i] = rate_without_chance(stretches, n, i);
	for (int i = 0; i < n; i++)
		stretches[i].rate = rates[i];
	after = count_of(stretches, n, &seconds);
	for (int i = 0; i < n && after > 0; i++)
		stretches[i].rate *= before / after;
	pfree(rates);
}

/* Who gave up, as far as it can be: no process has more callers, and each waits for pool_timeout. */
static double
gave_up_in(const PmBucket *bucket, const PmPool *pool)
{
	double		callers = (double) PM_MOST_WAITERS * pool->servers * pool->workers;

	if (pool->pool_timeout <= 0)
		return bucket->checkout_timeouts;
	return Min(bucket->checkout_timeouts, callers * (1 + bucket->seen * 1000.0 / pool->pool_timeout));
}

/*
 * Each minute of which something was seen, at its own rate. The server does not see who gave
 * up, nor how many transactions a checkout has; that the client says.
 */
static void
take_stretches(PmReplay *replay, const PmRingCopy *minutes, const PmPool *pool)
{
	uint64		seen = 0;
	uint64		ticks = 0;

	replay->stretches = palloc(sizeof(PmStretch) * Max(minutes->count, 1));
	for (int i = 0; i < minutes->count; i++)
	{
		const PmBucket *bucket = &minutes->buckets[i];

		if (bucket->seen == 0)
			continue;
		replay->stretches[replay->n++] = (PmStretch)
		{
			.seconds = bucket->seen / 1000.0,
				.rate = (replay->use.per_transaction * bucket->transactions + gave_up_in(bucket, pool)) / (bucket->seen / 1000.0),
				.dispersion = pm_use_dispersion(&replay->use, dispersion_of(minutes, i))
		};
		seen += bucket->ticks > 0 ? bucket->seen : 0;
		ticks += bucket->ticks;
	}
	take_chance_out(replay->stretches, replay->n);
	replay->tick = ticks > 0 ? seen / 1000.0 / ticks : 1;
	replay->dispersion = pm_use_dispersion(&replay->use, pm_dispersion(minutes->buckets, minutes->count));
}

/* ---- what the simulation is to be compared with ---- */

/* What the clients have said in this time. PgBouncer tells for how long they waited, and not how many. */
static void
take_reports(PmReplay *replay, const PmWorkload *work)
{
	PmMeasured *measured = &replay->measured;
	double		tried = (double) work->checkouts + work->checkout_timeouts;

	measured->waiting = measured->mean_wait = measured->timeouts = PM_NOT_MEASURED;
	measured->most_reported = work->checkouts >= SOME_COVER * replay->use.per_transaction * work->transactions;
	measured->few_reports = tried > 0 && tried < Min(SOME_REPORTED, work->transactions / 2.0);
	if (tried == 0 || measured->few_reports)
		return;
	if (work->checkouts > 0)
		measured->mean_wait = work->waited / 1000000.0 / work->checkouts;
	if (work->checkout_waits + work->checkout_timeouts == 0 && work->waited > 0)
		return;
	measured->waiting = Min(work->checkout_waits / tried, 1);
	measured->timeouts = work->checkout_timeouts / tried;
}

static void
take_times_at_sizes(PmReplay *replay, const PmWorkload *work, const PmPool *pool)
{
	bool		bounded = pool->ceiling >= 0 && work->seen > 0;

	replay->all_busy = bounded ? (double) work->exhausted / work->seen : PM_NOT_MEASURED;
	replay->measured.exhausted = pm_use_exhausted(&replay->use, replay->all_busy, pool->ceiling);
	replay->measured.overflow = bounded ? (double) work->overflow / work->seen : PM_NOT_MEASURED;
}

/* Since the sizes are what they are. */
static void
take_measured(PmReplay *replay, const PmQuestion *question, const PmPast *rings)
{
	PmSpan		sized = question->span;
	PmWorkload	work;

	sized.since = Max(sized.since, pm_account_sized_since(question->account));
	pm_workload_of(rings, sized, &work);
	take_reports(replay, &work);
	take_times_at_sizes(replay, &work, question->pool);
	replay->measured.throughput = PM_NOT_MEASURED;
	replay->measured.ticks = work.seen / 1000.0 / replay->tick;
	replay->measured.dispersion = replay->dispersion;
}

/* ---- who had the checkouts ---- */

static void
take_sizes(PmReplay *replay, const PmReport *report, const PmPool *declared)
{
	if (report->size == PM_NOT_SAID || report->max_overflow == PM_NOT_SAID || replay->other_sizes != NULL)
		return;
	if (report->size != declared->pool_size || report->max_overflow != declared->max_overflow)
		replay->other_sizes = psprintf("%d + %d", report->size, report->max_overflow);
}

static PmReported
reported_of(const PmClientProcess *process, const PmPool *pool)
{
	const PmPoolSums *sums = &process->report.sums;
	double		tried = (double) sums->checkouts + sums->timeouts;

	return (PmReported)
	{
		.checkouts = tried,
			.time = Max(process->reported_at - process->first_reported_at, 0) * 1000 + BEFORE_REPORTS,
			.wait = tried > 0 ? (sums->waited + (double) sums->timeouts * pool->pool_timeout) / 1000000.0 / tried : 0
	};
}

/* How many checkouts each process has, as those say that report. */
static void
take_rates(PmReplay *replay, const PmQuestion *question)
{
	PmClientProcess *processes = palloc(sizeof(PmClientProcess) * pm_max_client_processes);
	int			nprocesses = pm_reports_copy(processes);
	PmReported *reported = palloc(sizeof(PmReported) * (nprocesses + 1));
	int			n = 0;

	for (int i = 0; i < nprocesses; i++)
	{
		const PmClientProcess *process = &processes[i];

		if (process->owner.discovered || strcmp(process->owner.name, question->name) != 0 ||
			!pm_still_speaks(process, question->pool))
			continue;
		/* who is silent may be one of before the sizes were changed */
		if (pm_monotonic_ms() - process->reported_at <= PM_REPORT_COUNTS / 1000)
			take_sizes(replay, &process->report, question->pool);
		reported[n++] = reported_of(process, question->pool);
	}
	pm_rates_init(&replay->rates, reported, n, question->pool->servers * question->pool->workers, replay->dispersion);
	pfree(processes);
}

/* ---- all of it ---- */

/*
 * From these on each hold and each set-up is drawn; false: there are no holds. What is not in
 * transactions, clients say.
 */
static bool
take_durations(PmReplay *replay, const PmFigures *figures)
{
	const PmUse *use = &replay->use;
	double		transactions = 1 / use->per_transaction;
	double		mean = replay->work.busy / 1000000.0 / replay->work.transactions;
	double		besides = 0;

	if (use->known)
	{
		mean = Min(mean, use->mean / transactions);
		besides = use->mean - mean * transactions;
	}
	pm_holds_init(&replay->holds, figures->holds, figures->hold_max, mean, transactions, besides);
	if (replay->holds.transaction.ranges.n == 0)
		return false;
	pm_durations_init(&replay->setups, figures->setups, figures->setup_max, 0);
	return true;
}

/* What is there, as far as it is; returns what is missing for a simulation, NULL: nothing. */
const char *
pm_replay_take(PmReplay *replay, const PmQuestion *question)
{
	PmPast		rings;
	PmFigures  *figures = palloc(sizeof(PmFigures));

	memset(replay, 0, sizeof(PmReplay));
	pm_past_begin(&rings, question->name, MINUTE, question->span);
	if (question->account == pm_other_account() || !pm_past_next(&rings) ||
		!pm_account_figures(question->account, figures, true))
		return "minutes in the history";
	pm_workload_of(&rings, question->span, &replay->work);
	if (replay->work.seen == 0 || replay->work.transactions == 0)
		return "transactions in this span";
	pm_use_take(&replay->use, &rings.rings[PM_MINUTES]);
	if (!take_durations(replay, figures))
		return "hold times since its statistics were reset";
	take_stretches(replay, &rings.rings[PM_MINUTES], question->pool);
	take_measured(replay, question, &rings);
	take_rates(replay, question);
	return NULL;
}

/* The sizes that are declared; how often, how much and by which random numbers is the caller's. */
PmSimulation
pm_replay_declared(const PmReplay *replay, const PmPool *pool)
{
	return (PmSimulation)
	{
		.processes = pool->servers * pool->workers,
			.shares = pm_shares(&replay->rates, pool->servers * pool->workers),
			.waits = pm_waits_each(&replay->rates, pool->servers * pool->workers),
			.pool_size = pool->pool_size,
			.max_overflow = pool->max_overflow,
			.pool_timeout = pool->pool_timeout / 1000000.0,
			.stretches = replay->stretches,
			.nstretches = replay->n,
			.holds = &replay->holds,
			.setups = &replay->setups,
			.tick = replay->tick
	};
}
