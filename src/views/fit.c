/*
 * fit.c
 *		fit(): sizes for all pools at once, from what was measured in the last day. By
 *		Erlang's formulas, but where these are known to be wrong (brief.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "accounts/account.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "base/result.h"
#include "base/shmem.h"
#include "history/workload.h"
#include "miscadmin.h"
#include "planning/fit.h"
#include "planning/sizing.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "views/brief.h"

#define WEEK				(8 * USECS_PER_DAY) /* a quiet day is not what a
												 * pool is for */
#define MOST_CONNECTIONS	262143	/* of any PostgreSQL server */
#define UNDECLARED		"(undeclared)"

typedef struct Fitted
{
	const PmPool *pool;
	PmWorkload	work;			/* of the last day */
	int			week_busy;		/* p95_busy of WEEK */
	bool		measured;		/* well enough to be given a size */
	double		hold;			/* s, mean */
	int			each;			/* size of each process now; -1: unbounded */
	int64		now;			/* connections that it is given room for now */
	int64		reserve;		/* above them, of an explicit budget */
	PmFitPool	fit;
	PmBrief    *brief;			/* simulated; NULL: by Erlang's formulas */
} Fitted;

static double
per_second(double sum, const PmWorkload *work)
{
	return work->seen > 0 ? sum / (work->seen * 1000.0) : 0;
}

/* What it has now. A pool without ceiling or budget has the most that was seen. */
static void
take_stock(Fitted *fitted)
{
	const PmPool *pool = fitted->pool;
	const PmWorkload *work = &fitted->work;

	fitted->each = pool->ceiling < 0 ? -1 : pool->pool_size + pool->max_overflow;
	fitted->now = pool->ceiling >= 0 ? pool->ceiling : pool->budget >= 0 ? pool->budget : work->max_connections;
	fitted->reserve = pool->has_budget && pool->ceiling >= 0 ? Max(pool->budget - pool->ceiling, 0) : 0;
	fitted->measured = pm_workload_is_good(work);
	fitted->hold = work->transactions > 0 ? work->busy / 1000000.0 / work->transactions : 0;
	fitted->fit.processes = pool->servers * pool->workers;
	fitted->fit.surge = pool->has_budget ? 0 : pm_surge_processes(pool);
	fitted->fit.load = per_second(work->busy, work) / fitted->fit.processes;
	fitted->fit.least = Max((Max(work->p95_busy, fitted->week_busy) + fitted->fit.processes - 1) / fitted->fit.processes, 1);
}

/*
 * Gives each of those that have a past its workload of the last day, and what was busy in
 * WEEK: in one pass, because reading it is most of the work.
 */
static void
read_past(Fitted *all, const PmNameIndex *index)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	PmSpan		day = {.since = now - USECS_PER_DAY,.until = DT_NOEND};
	PmSpan		week = {.since = now - WEEK,.until = DT_NOEND};
	PmWorkload	work;
	PmPast		past;
	int			i;

	pm_past_begin(&past, NULL, 0, pm_workload_reads(week));
	while (pm_past_next(&past))
	{
		CHECK_FOR_INTERRUPTS();
		i = pm_name_index_find(index, past.name);
		if (i < 0)
			continue;
		pm_workload_of(&past, day, &all[i].work);
		pm_workload_of(&past, week, &work);
		all[i].week_busy = work.p95_busy;
	}
}

/* Each declared pool, with what it did lately. */
static Fitted *
gather(const PmRules *rules)
{
	Fitted	   *all = palloc0(sizeof(Fitted) * Max(rules->npools, 1));
	PmNameIndex index;

	pm_name_index_init(&index, rules->npools);
	for (int i = 0; i < rules->npools; i++)
	{
		all[i].pool = &rules->pools[i];
		pm_name_index_add(&index, rules->pools[i].name, i);
	}
	read_past(all, &index);
	for (int i = 0; i < rules->npools; i++)
		take_stock(&all[i]);
	return all;
}

/* ---- the room that there is ---- */

static TimestampTz
matching_since(void)
{
	TimestampTz at;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	at = pm_accounts->all[pm_undeclared_account()].sizes.since;
	LWLockRelease(&pm_accounts->lock.lock);
	return at;
}

static int
undeclared_now(void)
{
	int			undeclared = 0;
	PmTally		tally;
	PmScan		scan;
	const PmSession *session;

	pm_tally_begin(&tally);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
		undeclared += session->class->pool < 0;
	return undeclared;
}

/*
 * The most connections in no pool, now or in the last day; but not before the last load after
 * which pools match more, as what was declared by it is no longer one of them. A load that
 * changes sizes, or nothing, does not matter, nor does a start of the server.
 */
static int
undeclared_most(void)
{
	PmSpan		span = {
		.since = Max(GetCurrentTransactionStartTimestamp() - USECS_PER_DAY, matching_since()),
		.until = DT_NOEND,
	};
	PmWorkload	work = {0};
	PmPast		past;

	pm_past_begin(&past, UNDECLARED, 0, pm_workload_reads(span));
	while (pm_past_next(&past))
		pm_workload_of(&past, span, &work);
	return Max(work.max_connections, undeclared_now());
}

PG_FUNCTION_INFO_V1(pm_undeclared_most);

Datum
pm_undeclared_most(PG_FUNCTION_ARGS)
{
	pm_require_preload();
	PG_RETURN_INT32(undeclared_most());
}

/* The server's budget, or what undeclared ones leave of the usable where that is less. */
static int
server_room(void)
{
	return Max(Min(pm_server_budget(), pm_usable_connections() - undeclared_most()), 1);
}

/* ---- sizes ---- */

/* For qsort: who keeps the most connections busy first. */
static int
compare_busy(const void *a, const void *b)
{
	const Fitted *left = *(Fitted *const *) a;
	const Fitted *right = *(Fitted *const *) b;

	if (left->work.busy != right->work.busy)
		return left->work.busy > right->work.busy ? -1 : 1;
	return strcmp(left->pool->name, right->pool->name);
}

/*
 * How many of any size are kept open: what most minutes need, or as many as now; the rest is
 * overflow, or it would come and go all the time. All, where nothing is overflow now. Of what
 * nothing is known of, as many as now.
 */
static int
base_wanted(const Fitted *fitted)
{
	const PmPool *pool = fitted->pool;

	if (pool->pool_size == 0 || pool->max_overflow == 0)
		return MOST_CONNECTIONS;
	if (fitted->brief && fitted->brief->is_off)
		return pool->pool_size;
	return Max(pool->pool_size, pm_needed_each(Max(fitted->work.p95_busy, fitted->week_busy), fitted->fit.processes));
}

/*
 * Where Erlang's formulas are wrong: how many wait, by size. False: they are not. Where that
 * is wrong, too, nothing is known that would speak for fewer than it has. Allocates in the
 * current memory context.
 */
static bool
simulate_pool(Fitted *fitted, int account, int64 budget)
{
	PmSpan		day = {.since = GetCurrentTransactionStartTimestamp() - USECS_PER_DAY,.until = DT_NOEND};
	PmFitPool  *fit = &fitted->fit;
	PmBrief    *brief = palloc0(sizeof(PmBrief));

	if (!pm_brief_begin(brief, fitted->pool, account, day))
		return false;
	fitted->brief = brief;
	if (brief->is_off)
		fit->least = Max(fit->least, fitted->each >= 0 ? fitted->each : (fitted->now + fit->processes - 1) / fit->processes);
	fit->waiting = pm_brief_curve(brief, base_wanted(fitted), fit->least, (int) (budget / fit->processes), PM_FIT_WORTH, &fit->nwaiting);
	/* nothing is known of what more would be worth */
	if (brief->is_off)
		fit->nwaiting = 1;
	return true;
}

/* What is copied of the past of those that are not simulated does not add up. */
static bool
simulate_apart(Fitted *fitted, int account, int64 budget)
{
	MemoryContext apart = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor pool simulated", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(apart);
	bool		simulated = simulate_pool(fitted, account, budget);

	MemoryContextSwitchTo(caller);
	if (!simulated)
		MemoryContextDelete(apart);
	return simulated;
}

/* The busiest of them: there is not the time for all. */
static void
simulate_some(Fitted *all, const PmRules *rules, int64 budget)
{
	Fitted	  **busiest = palloc(sizeof(Fitted *) * Max(rules->npools, 1));
	int			nsimulated = 0;

	for (int i = 0; i < rules->npools; i++)
		busiest[i] = &all[i];
	qsort(busiest, rules->npools, sizeof(Fitted *), compare_busy);
	for (int i = 0; i < rules->npools && nsimulated < PM_BRIEF_MOST; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (busiest[i]->measured)
			nsimulated += simulate_apart(busiest[i], rules->accounts[busiest[i] - all], budget);
	}
	pfree(busiest);
}

/* Who was not measured keeps what it has; the others share the rest. */
static void
fit_all(Fitted *all, int n, int64 budget)
{
	PmFitPool  *pools = palloc(sizeof(PmFitPool) * Max(n, 1));
	int64		surge = 0;
	int			npools = 0;

	for (int i = 0; i < n; i++)
	{
		const PmPool *pool = all[i].pool;

		budget -= all[i].reserve;
		if (all[i].measured)
			pools[npools++] = all[i].fit;
		else
		{
			budget -= all[i].now;
			surge = Max(surge, pool->budget - pool->budget_at_rest);
		}
	}
	pm_fit(pools, npools, budget, surge);
	npools = 0;
	for (int i = 0; i < n; i++)
	{
		if (all[i].measured)
			all[i].fit = pools[npools++];
	}
	pfree(pools);
}

static int64
proposed(const Fitted *fitted)
{
	return fitted->measured ? (int64) fitted->fit.processes * fitted->fit.size : fitted->now;
}

/* For qsort: who frees the most connections first. */
static int
compare_freed(const void *a, const void *b)
{
	const Fitted *left = a;
	const Fitted *right = b;
	int64		difference = (right->now - proposed(right)) - (left->now - proposed(left));

	if (difference != 0)
		return difference < 0 ? -1 : 1;
	return strcmp(left->pool->name, right->pool->name);
}

/* What the model says of one size of each process; -1: unbounded, or not known. Nothing where it is off. */
static void
put_model(PmRow *row, const Fitted *fitted, int size, int base)
{
	const PmFitPool *fit = &fitted->fit;
	PmBriefAnswer answer;

	if (size < 0 || (fitted->brief && fitted->brief->is_off))
	{
		pm_put_null(row);
		pm_put_null(row);
		return;
	}
	if (fitted->brief)
		answer = pm_brief_ask(fitted->brief, base, size - base);
	else
		answer = (PmBriefAnswer)
	{
		.queue = fit->processes * pm_mean_queue(size, fit->load),
			.timeouts = pm_timeout_probability(size, fit->load, fitted->hold, fitted->pool->pool_timeout / 1000000.0)
	};
	pm_put(row, Float8GetDatum(answer.queue));
	pm_put(row, Float8GetDatum(answer.timeouts));
}

static void
put_pool(ReturnSetInfo *result, const Fitted *fitted)
{
	const PmPool *pool = fitted->pool;
	int			size = fitted->measured ? fitted->fit.size : -1;
	int			kept = size < 0 ? -1 : Min(base_wanted(fitted), size);
	PmRow		row = {0};

	pm_put_text(&row, pool->name);
	pm_put_int(&row, fitted->fit.processes);
	pm_put_duration(&row, fitted->work.seen * 1000);
	pm_put(&row, Float8GetDatum(per_second(fitted->work.busy, &fitted->work)));
	pm_put_int(&row, fitted->work.p95_busy);
	pm_put_int(&row, fitted->week_busy);
	pm_put_int(&row, pool->pool_size);
	pm_put_int(&row, pool->max_overflow);
	pm_put_bound(&row, fitted->now);
	pm_put_bound(&row, kept);
	pm_put_bound(&row, size < 0 ? -1 : size - kept);
	pm_put_bound(&row, proposed(fitted));
	pm_put_bound(&row, pool->has_budget ? proposed(fitted) + fitted->reserve : -1);
	pm_put(&row, Int64GetDatum(fitted->now - proposed(fitted)));
	put_model(&row, fitted, fitted->measured ? fitted->each : -1, pool->pool_size > 0 ? pool->pool_size : fitted->each);
	put_model(&row, fitted, size, kept);
	pm_put_text(&row, fitted->brief == NULL ? "Erlang" : fitted->brief->is_off ? "simulated, off" : "simulated");
	pm_put_text(&row, fitted->measured ? "good" : "not enough data");
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_fit_sql);

/* fit(connection_budget int); NULL: server_room(). */
Datum
pm_fit_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			budget;
	const PmRules *rules;
	Fitted	   *all;

	pm_require_preload();
	budget = PG_ARGISNULL(0) ? server_room() : PG_GETARG_INT32(0);
	if (budget < 1 || budget > MOST_CONNECTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("connection_budget must be between 1 and %d, not %d", MOST_CONNECTIONS, budget)));
	InitMaterializedSRF(fcinfo, 0);
	rules = pm_rules_current();
	all = gather(rules);
	simulate_some(all, rules, budget);
	fit_all(all, rules->npools, budget);
	qsort(all, rules->npools, sizeof(Fitted), compare_freed);
	for (int i = 0; i < rules->npools; i++)
		put_pool(result, &all[i]);
	return (Datum) 0;
}
