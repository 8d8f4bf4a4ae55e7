/*
 * simulate.c
 *		simulate(): what a pool did lately, with other sizes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/result.h"
#include "base/shmem.h"
#include "miscadmin.h"
#include "planning/callers.h"
#include "planning/simulate.h"
#include "sessions/settle.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "views/simulate_past.h"
#include "views/simulate_question.h"

#define REPLICATIONS	10		/* at least */
#define MOST			100		/* of them, where each is short */
#define ENOUGH			2000000 /* arrivals of all of these */
#define ARRIVALS		800000	/* of each; a day of 100 a second is 8.64
								 * million */
#define MOST_CALLERS	100000	/* no more, whatever the load */
#define COLUMNS			55		/* of the answer */

/*
 * The same seed has the same luck with every pool and size, which nothing but more replications
 * evens out. Of a short time there is room for them.
 */
static int
replications_of(const PmSimulation *simulation)
{
	double		arrivals = 1;

	for (int i = 0; i < simulation->nstretches; i++)
		arrivals += simulation->stretches[i].seconds * simulation->stretches[i].rate;
	return (int) Max(Min(ENOUGH / arrivals, MOST), REPLICATIONS);
}

/* Fewer, where it is more load: shapes go by their number, so each keeps its share. */
static PmBurstShape *
replicate(PmSimulation *asked, const PmSimulation *declared)
{
	PmBurstShape *shapes = palloc(sizeof(PmBurstShape) * declared->replications);

	asked->replications = Min(replications_of(asked), declared->replications);
	asked->shapes = shapes;
	asked->nshapes = asked->replications;
	for (int i = 0; i < asked->nshapes; i++)
		shapes[i] = declared->shapes[(int64) i * declared->nshapes / asked->nshapes];
	return shapes;
}

static void
more_callers(PmBurstShape *shapes, int n, double load, const PmSimulation *declared)
{
	for (int i = 0; i < n; i++)
	{
		if (shapes[i].callers != NULL)
			shapes[i].callers = pm_callers_times(shapes[i].callers, load, MOST_CALLERS, declared);
	}
}

/* The same, with what is asked for. */
static PmSimulation
as_asked(const PmSimulation *declared, const PmReplay *replay, const PmQuestion *question)
{
	PmSimulation asked = *declared;
	PmStretch  *stretches = palloc(sizeof(PmStretch) * declared->nstretches);
	PmBurstShape *shapes;

	for (int i = 0; i < declared->nstretches; i++)
	{
		stretches[i] = declared->stretches[i];
		stretches[i].rate *= question->load;
	}
	asked.stretches = stretches;
	asked.processes = question->processes;
	asked.shares = pm_shares(&replay->rates, question->processes);
	asked.waits = pm_waits_each(&replay->rates, question->processes);
	asked.pool_size = question->pool_size;
	asked.max_overflow = question->max_overflow;
	asked.pool_timeout = question->pool_timeout / 1000000.0;
	shapes = replicate(&asked, declared);
	more_callers(shapes, asked.nshapes, question->load, declared);
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
put_question(PmRow *row, const PmQuestion *question)
{
	pm_put_text(row, question->name);
	pm_put_int(row, question->processes);
	pm_put_int(row, question->pool_size);
	pm_put_int(row, question->max_overflow);
	pm_put_duration(row, question->pool_timeout);
}

static void
put_load(PmRow *row, const PmReplay *replay)
{
	pm_put_duration(row, replay->work.seen * 1000);
	pm_put(row, Float8GetDatum(replay->use.per_transaction * replay->work.transactions / (replay->work.seen / 1000.0)));
	put_number(row, replay->holds.mean);
	put_number(row, replay->dispersion);
}

static void
put_outcomes(PmRow *row, const PmSimulated *simulated)
{
	static const PmOutcome columns[] = {PM_SIM_WAIT_P50, PM_SIM_WAIT_P95, PM_SIM_WAIT_P99, PM_SIM_LONGEST,
		PM_SIM_WAITING, PM_SIM_TIMEOUTS, PM_SIM_TIMEOUT_SHARE, PM_SIM_FULL, PM_SIM_ALL_FULL, PM_SIM_THROUGHPUT,
	PM_SIM_OPENED, PM_SIM_CONNECTIONS};

	pm_put(row, Int64GetDatum(simulated->arrivals));
	pm_put(row, Float8GetDatum(simulated->share));
	for (int i = 0; i < (int) lengthof(columns); i++)
		put_estimate(row, simulated, columns[i]);
}

static void
put_measured(PmRow *row, const PmReplay *replay)
{
	const PmWorkload *work = &replay->work;
	double		hours = work->seen / 3600000.0;

	put_number(row, replay->all_busy);
	pm_put(row, Float8GetDatum(work->connects / hours));
	pm_put(row, Float8GetDatum(work->connections / (work->seen * 1000.0)));
	put_number(row, replay->measured.waiting);
	put_number(row, replay->measured.mean_wait);
	put_number(row, replay->measured.timeouts);
}

static void
put_answer(PmRow *row, const PmQuestion *question, const PmReplay *replay)
{
	PmSimulation declared = pm_replay_declared(replay, question->pool);
	PmSimulation asked;
	PmSimulated as_it_was;
	PmSimulated simulated;

	declared.seed = question->seed;
	declared.replications = replications_of(&declared);
	declared.budget = ARRIVALS;
	pm_calibrate(&declared, &replay->measured, &as_it_was);
	asked = as_asked(&declared, replay, question);
	pm_simulate(&asked, &simulated);
	put_load(row, replay);
	put_outcomes(row, &simulated);
	put_measured(row, replay);
	pm_put_text(row, replay->other_sizes ? psprintf("off: clients report sizes %s, which are not declared", replay->other_sizes) :
				pm_calibration(&replay->measured, &declared, &as_it_was));
	pm_put_text(row, pm_workload_is_good(&replay->work) ? "good" : "not enough data");
}

static void
put_no_answer(PmRow *row, const char *missing)
{
	while (row->ncolumns < COLUMNS - 2)
		pm_put_null(row);
	pm_put_text(row, psprintf("unknown: there are no %s", missing));
	pm_put_text(row, "not enough data");
}

/*
 * Of whole minutes, so that answers in the same minute are of the same ones; but of one that goes
 * on where there is no other. Returns what is missing, NULL: nothing.
 */
static const char *
take_replay(PmReplay *replay, const PmQuestion *question)
{
	PmQuestion	whole = *question;
	int64		begun = GetCurrentTransactionStartTimestamp() % USECS_PER_MINUTE;

	whole.span.until = GetCurrentTransactionStartTimestamp() - begun;
	whole.span.since -= begun;
	return pm_replay_take(replay, &whole) == NULL ? NULL : pm_replay_take(replay, question);
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
	PmQuestion	question = {0};
	PmReplay   *replay = palloc(sizeof(PmReplay));
	const char *missing;
	PmTally		tally;
	PmOpen		open;
	PmRow		row = {0};

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	pm_settle_all(&tally, &open);
	pm_question_ask(fcinfo, &question, tally.rules);
	missing = take_replay(replay, &question);
	put_question(&row, &question);
	if (missing)
		put_no_answer(&row, missing);
	else
		put_answer(&row, &question, replay);
	pm_put_row(result, &row);
	return (Datum) 0;
}
