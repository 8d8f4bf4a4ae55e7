/*
 * workload.c
 *		workload(): what each pool did in a span of time, and what follows from it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "accounts/account.h"
#include "base/nameindex.h"
#include "base/result.h"
#include "base/shmem.h"
#include "history/workload.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static void
put_share(PmRow *row, double part, double whole)
{
	if (whole > 0)
		pm_put(row, Float8GetDatum(part / whole));
	else
		pm_put_null(row);
}

/*
 * Averages are exact sums over the time seen. The mean hold time is that of Little's
 * law, busy = rate * hold time, of which both sides were counted.
 */
static void
put_workload(ReturnSetInfo *result, const char *pool, const PmWorkload *work)
{
	PmRow		row = {0};
	double		seen = work->seen / 1000.0;

	pm_put_text(&row, pool);
	pm_put_duration(&row, work->seen * 1000);
	put_share(&row, work->connections / 1000000.0, seen);
	pm_put_int(&row, work->max_connections);
	put_share(&row, work->busy / 1000000.0, seen);
	pm_put_int(&row, work->p95_busy);
	pm_put_int(&row, work->max_busy);
	pm_put_bound(&row, work->transactions);
	put_share(&row, work->transactions, seen);
	if (work->seen > 0)
		put_share(&row, work->busy / 1000000.0, work->transactions);
	else
		pm_put_null(&row);
	pm_put_bound(&row, work->long_holds);
	pm_put_bound(&row, work->connects);
	pm_put_bound(&row, work->disconnects);
	pm_put_bound(&row, work->retired);
	pm_put_bound(&row, work->refused);
	pm_put_bound(&row, work->guarded);
	pm_put_bound(&row, work->would_be_guarded);
	pm_put_bound(&row, work->guarded_by_reserves);
	pm_put_bound(&row, work->guarded_by_rate);
	pm_put_bound(&row, work->rejected);
	pm_put_bound(&row, work->auth_failures);
	put_share(&row, work->overflow / 1000.0, seen);
	put_share(&row, work->exhausted / 1000.0, seen);
	put_share(&row, work->over / 1000.0, seen);
	put_share(&row, work->starved / 1000.0, seen);
	pm_put_bound(&row, work->checkouts);
	pm_put_bound(&row, work->checkout_waits);
	pm_put(&row, Float8GetDatum(work->waited / 1000000.0));
	pm_put_bound(&row, work->checkout_timeouts);
	pm_put_bound(&row, work->timed_checkouts);
	pm_put(&row, Float8GetDatum(work->checked_out / 1000000.0));
	pm_put(&row, Float8GetDatum(work->reported_open / 1000000.0));
	pm_put(&row, Float8GetDatum(pm_workload_samples(work)));
	pm_put_text(&row, pm_workload_is_good(work) ? "good" : "not enough data");
	pm_put_row(result, &row);
}

/* The declared pools by name, where their present sizes are asked for. */
typedef struct Sized
{
	const PmRules *rules;		/* NULL: they are not */
	PmNameIndex index;
} Sized;

static void
find_sizes(Sized *sized)
{
	sized->rules = pm_rules_current();
	pm_name_index_init(&sized->index, sized->rules->npools);
	for (int i = 0; i < sized->rules->npools; i++)
		pm_name_index_add(&sized->index, sized->rules->pools[i].name, i);
}

/* The part of the span in which the pool had the sizes that it has. */
static PmSpan
as_sized(const Sized *sized, const char *name, PmSpan span)
{
	int			i = sized->rules ? pm_name_index_find(&sized->index, name) : -1;
	TimestampTz since = i >= 0 ? pm_account_sized_since(sized->rules->accounts[i]) : 0;

	if (since != 0)
		span.since = Max(span.since, since);
	return span;
}

PG_FUNCTION_INFO_V1(pm_workload);

/* workload(pool text, since timestamptz, until timestamptz, as_sized bool) */
Datum
pm_workload(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmSpan		span = {
		.since = PG_ARGISNULL(1) ? GetCurrentTransactionStartTimestamp() - USECS_PER_DAY : PG_GETARG_TIMESTAMPTZ(1),
		.until = PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2),
	};
	PmPast		past;
	PmWorkload	work;
	Sized		sized = {0};

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(3) && PG_GETARG_BOOL(3))
		find_sizes(&sized);
	pm_past_begin(&past, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)), 0, pm_workload_reads(span));
	while (pm_past_next(&past))
	{
		CHECK_FOR_INTERRUPTS();
		pm_workload_of(&past, as_sized(&sized, past.name, span), &work);
		if (work.nstretches > 0)
			put_workload(result, past.name, &work);
	}
	return (Datum) 0;
}
