/*
 * simulate.c
 *		simulate(): what a pool did lately, with other sizes.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "accounts/account.h"
#include "accounts/figures.h"
#include "base/guc.h"
#include "base/result.h"
#include "base/shmem.h"
#include "client/reports.h"
#include "history/arrivals.h"
#include "history/workload.h"
#include "miscadmin.h"
#include "planning/calibrate.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/settle.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#define MOST_CONNECTIONS	262143	/* of any PostgreSQL server */
#define REPLICATIONS	10
#define ARRIVALS		800000	/* of each; a day of 100 a second is 8.64
								 * million */
#define COLUMNS			52		/* of the answer */
#define AROUND			5		/* minutes before and after, for the
								 * dispersion */
#define BEFORE_REPORTS	INT64CONST(15000000)	/* us, for which a process is
												 * there before its first
												 * report, about */
#define MINUTE			INT64CONST(60000000)	/* us */

/* What is asked for. */
typedef struct Question
{
	char	   *name;
	const PmPool *pool;
	int			account;
	int			processes;
	int			pool_size;
	int			max_overflow;
	int64		pool_timeout;	/* us */
	PmSpan		span;
	double		load;
	int64		seed;
} Question;

/* What was measured of it. */
typedef struct Past
{
	PmStretch  *stretches;		/* with a load of 1 */
	int			n;
	double		tick;			/* s, on average */
	double		dispersion;
	PmWorkload	work;
	PmWorkload	as_sized;		/* since the sizes are what they are */
	PmFigures	figures;
	PmDurations holds;
	PmDurations setups;
	PmMeasured	measured;
	double	   *rates;			/* of the processes that report, in order */
	int			nrates;
} Past;

/* ---- the question ---- */

static int
get_size(FunctionCallInfo fcinfo, int arg, const char *name, int declared, int least, int most)
{
	int			value = PG_ARGISNULL(arg) ? declared : PG_GETARG_INT32(arg);

	if (!PG_ARGISNULL(arg) && (value < least || value > most))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be between %d and %d, or NULL for what is declared, not %d", name, least, most, value)));
	return value;
}

static int64
get_timeout(FunctionCallInfo fcinfo, int arg, int64 declared)
{
	const Interval *value = PG_ARGISNULL(arg) ? NULL : PG_GETARG_INTERVAL_P(arg);
	int64		us = value ? value->time + value->day * USECS_PER_DAY : declared;

	if (value && (value->month != 0 || us < 0 || us > USECS_PER_DAY || llabs(value->day) > 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("pool_timeout must be between 0 and 1 day, or NULL for what is declared")));
	return us;
}

static PmSpan
get_span(FunctionCallInfo fcinfo, int arg)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	PmSpan		span = {.since = now - USECS_PER_DAY,.until = DT_NOEND};

	if (!PG_ARGISNULL(arg))
		span.since = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(now),
															 PG_GETARG_DATUM(arg)));
	if (span.since >= now)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("span must be more than 0: so long ago what is replayed begins")));
	return span;
}

static double
get_load(FunctionCallInfo fcinfo, int arg)
{
	double		value = PG_ARGISNULL(arg) ? 1 : PG_GETARG_FLOAT8(arg);

	if (!(value > 0 && value <= 1000))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("load must be more than 0 and at most 1000 times what was measured, not %g", value)));
	return value;
}

static void
find_pool(Question *question, const PmRules *rules)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (strcmp(rules->pools[i].name, question->name) != 0)
			continue;
		question->pool = &rules->pools[i];
		question->account = rules->accounts[i];
	}
	if (question->pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no declared pool \"%s\"", question->name),
				 errhint("Give the name of a row of pool_monitor.pools that is in force.")));
}

static void
check_connections(const char *what, int processes, int pool_size, int max_overflow)
{
	int64		most = (int64) processes * (Max(pool_size, 1) + Max(max_overflow, 0));

	if (most > MOST_CONNECTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("all processes together, as %s, must have at most %d connections, not " INT64_FORMAT,
						what, MOST_CONNECTIONS, most),
				 errhint("Fewer servers or workers, or a smaller pool_size or max_overflow.")));
}

static void
ask(FunctionCallInfo fcinfo, Question *question, const PmRules *rules)
{
	const PmPool *pool;

	question->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	find_pool(question, rules);
	pool = question->pool;
	question->processes = pool->servers * get_size(fcinfo, 1, "workers", pool->workers, 1, 10000);
	question->pool_size = get_size(fcinfo, 2, "pool_size", pool->pool_size, 0, 100000);
	question->max_overflow = get_size(fcinfo, 3, "max_overflow", pool->max_overflow, -1, 100000);
	question->pool_timeout = get_timeout(fcinfo, 4, pool->pool_timeout);
	question->span = get_span(fcinfo, 5);
	question->load = get_load(fcinfo, 6);
	question->seed = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
	check_connections("declared", pool->servers * pool->workers, pool->pool_size, pool->max_overflow);
	check_connections("asked for", question->processes, question->pool_size, question->max_overflow);
}

/* ---- the past ---- */

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

/*
 * Each minute of which something was seen, at its own rate. The server does not see who gave
 * up; that the client says.
 */
static void
take_stretches(Past *past, const PmRingCopy *minutes)
{
	uint64		seen = 0;
	uint64		ticks = 0;

	past->stretches = palloc(sizeof(PmStretch) * Max(minutes->count, 1));
	for (int i = 0; i < minutes->count; i++)
	{
		const PmBucket *bucket = &minutes->buckets[i];

		if (bucket->seen == 0)
			continue;
		past->stretches[past->n++] = (PmStretch)
		{
			.seconds = bucket->seen / 1000.0,
				.rate = ((double) bucket->transactions + bucket->checkout_timeouts) / (bucket->seen / 1000.0),
				.dispersion = dispersion_of(minutes, i)
		};
		seen += bucket->ticks > 0 ? bucket->seen : 0;
		ticks += bucket->ticks;
	}
	past->tick = ticks > 0 ? seen / 1000.0 / ticks : 1;
	past->dispersion = pm_dispersion(minutes->buckets, minutes->count);
}

/* What the clients have said in this time. */
static void
take_reports(PmMeasured *measured, const PmWorkload *work)
{
	double		tried = (double) work->checkouts + work->checkout_timeouts;

	measured->waiting = measured->mean_wait = measured->timeouts = PM_NOT_MEASURED;
	if (work->checkouts == 0)
		return;
	measured->waiting = work->checkout_waits / tried;
	measured->mean_wait = work->waited / 1000000.0 / work->checkouts;
	measured->timeouts = work->checkout_timeouts / tried;
}

/* For qsort. */
static int
compare_rates(const void *a, const void *b)
{
	double		difference = *(const double *) a - *(const double *) b;

	return (difference > 0) - (difference < 0);
}

/*
 * Do so many checkouts differ by more than chance from what is expected, all of them
 * being alike? Pearson's chi square is their number less 1 then, on average; bursts make it so
 * many times as much as the dispersion is.
 */
static bool
are_uneven(const double *checkouts, const double *times, int n, double dispersion)
{
	double		all = 0;
	double		time = 0;
	double		square = 0;

	for (int i = 0; i < n; i++)
	{
		all += checkouts[i];
		time += times[i];
	}
	for (int i = 0; i < n && all > 0; i++)
	{
		double		expected = all * times[i] / time;

		square += (checkouts[i] - expected) * (checkouts[i] - expected) / expected;
	}
	return square > Max(dispersion, 1) * (n - 1 + 3 * sqrt(2.0 * (n - 1)));
}

/* How many checkouts each process has, as those say that report; none where they are alike. */
static void
take_rates(Past *past, const char *pool)
{
	PmClientProcess *processes = palloc(sizeof(PmClientProcess) * pm_max_client_processes);
	int			nprocesses = pm_reports_copy(processes);
	double	   *checkouts = palloc(sizeof(double) * (nprocesses + 1));
	double	   *times = palloc(sizeof(double) * (nprocesses + 1));
	int			n = 0;

	for (int i = 0; i < nprocesses; i++)
	{
		const PmClientProcess *process = &processes[i];

		if (process->owner.discovered || strcmp(process->owner.name, pool) != 0)
			continue;
		checkouts[n] = process->report.sums.checkouts + process->report.sums.timeouts;
		times[n++] = Max(process->at - process->first_at, 0) + BEFORE_REPORTS;
	}
	if (n > 1 && are_uneven(checkouts, times, n, past->dispersion))
	{
		past->rates = palloc(sizeof(double) * n);
		past->nrates = n;
		for (int i = 0; i < n; i++)
			past->rates[i] = checkouts[i] / times[i];
		qsort(past->rates, n, sizeof(double), compare_rates);
	}
	pfree(processes);
}

/* As unevenly on so many processes: of each the rate at its place among those that report. */
static PmChoice *
shares_of(const Past *past, int processes)
{
	PmChoice   *shares = palloc0(sizeof(PmChoice));
	double	   *weights = palloc(sizeof(double) * processes);

	for (int i = 0; i < processes && past->nrates > 0; i++)
		weights[i] = past->rates[(int) ((i + 0.5) * past->nrates / processes)];
	if (past->nrates > 0 && weights[processes - 1] > 0)
		pm_choice_init(shares, weights, processes);
	return shares;
}

static void
take_times_at_sizes(Past *past, const PmPool *pool)
{
	const PmWorkload *work = &past->as_sized;
	bool		bounded = pool->ceiling >= 0 && work->seen > 0;

	past->measured.exhausted = bounded ? (double) work->exhausted / work->seen : PM_NOT_MEASURED;
	past->measured.overflow = bounded ? (double) work->overflow / work->seen : PM_NOT_MEASURED;
}

/* What is there, as far as it is; returns what is missing for a simulation, NULL: nothing. */
static const char *
look_back(const Question *question, Past *past)
{
	PmSpan		sized = question->span;
	PmPast		rings;

	memset(past, 0, sizeof(Past));
	sized.since = Max(sized.since, pm_account_sized_since(question->account));
	pm_past_begin(&rings, question->name, MINUTE, question->span);
	if (question->account == pm_other_account() || !pm_past_next(&rings) ||
		!pm_account_figures(question->account, &past->figures, true))
		return "minutes in the history";
	pm_workload_of(&rings, question->span, &past->work);
	pm_workload_of(&rings, sized, &past->as_sized);
	if (past->work.seen == 0 || past->work.transactions == 0)
		return "transactions in this span";
	pm_durations_init(&past->holds, past->figures.holds, past->figures.hold_max,
					  past->work.busy / 1000000.0 / past->work.transactions);
	if (past->holds.ranges.n == 0)
		return "hold times since its statistics were reset";
	pm_durations_init(&past->setups, past->figures.setups, past->figures.setup_max, 0);
	take_reports(&past->measured, &past->as_sized);
	take_times_at_sizes(past, question->pool);
	take_stretches(past, &rings.rings[PM_MINUTES]);
	take_rates(past, question->name);
	return NULL;
}

/* ---- the answer ---- */

/* As it was. */
static PmSimulation
as_declared(const Past *past, const Question *question)
{
	const PmPool *pool = question->pool;

	return (PmSimulation)
	{
		.processes = pool->servers * pool->workers,
			.shares = shares_of(past, pool->servers * pool->workers),
			.pool_size = pool->pool_size,
			.max_overflow = pool->max_overflow,
			.pool_timeout = pool->pool_timeout / 1000000.0,
			.stretches = past->stretches,
			.nstretches = past->n,
			.holds = &past->holds,
			.setups = &past->setups,
			.tick = past->tick,
			.seed = question->seed,
			.replications = REPLICATIONS,
			.budget = ARRIVALS
	};
}

/* The same, with what is asked for. */
static PmSimulation
as_asked(const PmSimulation *declared, const Past *past, const Question *question)
{
	PmSimulation asked = *declared;
	PmStretch  *stretches = palloc(sizeof(PmStretch) * declared->nstretches);

	for (int i = 0; i < declared->nstretches; i++)
	{
		stretches[i] = declared->stretches[i];
		stretches[i].rate *= question->load;
	}
	asked.stretches = stretches;
	asked.processes = question->processes;
	asked.shares = shares_of(past, question->processes);
	asked.pool_size = question->pool_size;
	asked.max_overflow = question->max_overflow;
	asked.pool_timeout = question->pool_timeout / 1000000.0;
	return asked;
}

static void
put_number(PmRow *row, double value)
{
	if (value < 0)
		pm_put_null(row);
	else
		pm_put(row, Float8GetDatum(value));
}

static void
put_estimate(PmRow *row, const PmSimulated *simulated, PmOutcome which)
{
	pm_put(row, Float8GetDatum(simulated->of[which].mean));
	pm_put(row, Float8GetDatum(simulated->of[which].low));
	pm_put(row, Float8GetDatum(simulated->of[which].high));
}

static void
put_question(PmRow *row, const Question *question)
{
	pm_put_text(row, question->name);
	pm_put_int(row, question->processes);
	pm_put_int(row, question->pool_size);
	pm_put_int(row, question->max_overflow);
	pm_put_duration(row, question->pool_timeout);
}

static void
put_load(PmRow *row, const Past *past)
{
	pm_put_duration(row, past->work.seen * 1000);
	pm_put(row, Float8GetDatum(past->work.transactions / (past->work.seen / 1000.0)));
	put_number(row, past->holds.mean);
	put_number(row, past->dispersion);
}

static void
put_outcomes(PmRow *row, const PmSimulated *simulated)
{
	static const PmOutcome columns[] = {PM_SIM_WAIT_P50, PM_SIM_WAIT_P95, PM_SIM_WAIT_P99, PM_SIM_LONGEST,
		PM_SIM_WAITING, PM_SIM_TIMEOUTS, PM_SIM_TIMEOUT_SHARE, PM_SIM_FULL, PM_SIM_ALL_FULL, PM_SIM_OPENED,
	PM_SIM_CONNECTIONS};

	pm_put(row, Int64GetDatum(simulated->arrivals));
	pm_put(row, Float8GetDatum(simulated->share));
	for (int i = 0; i < (int) lengthof(columns); i++)
		put_estimate(row, simulated, columns[i]);
}

static void
put_measured(PmRow *row, const Past *past)
{
	const PmWorkload *work = &past->work;
	double		hours = work->seen / 3600000.0;

	put_number(row, past->measured.exhausted);
	pm_put(row, Float8GetDatum(work->connects / hours));
	pm_put(row, Float8GetDatum(work->connections / (work->seen * 1000.0)));
	put_number(row, past->measured.waiting);
	put_number(row, past->measured.mean_wait);
	put_number(row, past->measured.timeouts);
}

static void
put_answer(PmRow *row, const Question *question, const Past *past)
{
	PmSimulation declared = as_declared(past, question);
	PmSimulation asked;
	PmSimulated as_it_was;
	PmSimulated simulated;

	pm_calibrate(&declared, &past->measured, &as_it_was);
	asked = as_asked(&declared, past, question);
	pm_simulate(&asked, &simulated);
	put_load(row, past);
	put_outcomes(row, &simulated);
	put_measured(row, past);
	pm_put_text(row, pm_calibration(&past->measured, &as_it_was));
	pm_put_text(row, pm_workload_is_good(&past->work) ? "good" : "not enough data");
}

static void
put_no_answer(PmRow *row, const char *missing)
{
	while (row->ncolumns < COLUMNS - 2)
		pm_put_null(row);
	pm_put_text(row, psprintf("unknown: there are no %s", missing));
	pm_put_text(row, "not enough data");
}

PG_FUNCTION_INFO_V1(pm_simulate_sql);

/*
 * simulate(pool text, workers int, pool_size int, max_overflow int, pool_timeout interval,
 * span interval, load float8, seed bigint)
 */
Datum
pm_simulate_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Question	question = {0};
	Past	   *past = palloc(sizeof(Past));
	const char *missing;
	PmTally		tally;
	PmOpen		open;
	PmRow		row = {0};

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	pm_settle_all(&tally, &open);
	ask(fcinfo, &question, tally.rules);
	missing = look_back(&question, past);
	put_question(&row, &question);
	if (missing)
		put_no_answer(&row, missing);
	else
		put_answer(&row, &question, past);
	pm_put_row(result, &row);
	return (Datum) 0;
}
