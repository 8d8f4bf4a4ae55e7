/*
 * metrics.c
 *		metrics_counted(), behind the views for those who collect metrics: what was counted
 *		for each declared pool, and for all that is in none.
 *
 * Of (undeclared) the sum above the applications is shown, which never goes down when one
 * of them is declared or gives way.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "base/histogram.h"
#include "base/result.h"
#include "base/shmem.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "retire/pauses.h"
#include "sessions/settle.h"
#include "sessions/tally.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "views/common.h"

#define MOST_BOUNDS	10

/* Upper bounds in s, ascending: few, as each is a series for each pool. */
typedef struct Bounds
{
	int			n;
	double		seconds[MOST_BOUNDS];
}			Bounds;

static const Bounds of_holds = {9, {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600}};
static const Bounds of_lifetimes = {9, {1, 10, 60, 300, 900, 1800, 3600, 14400, 86400}};
static const Bounds of_setups = {9, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5}};

static Datum
bounds_array(const Bounds * bounds)
{
	Datum		values[MOST_BOUNDS];

	for (int i = 0; i < bounds->n; i++)
		values[i] = Float8GetDatum(bounds->seconds[i]);
	return PointerGetDatum(construct_array(values, bounds->n, FLOAT8OID, sizeof(float8), true, TYPALIGN_DOUBLE));
}

/* How many do not exceed each bound, and all together; a value counts as the middle of its bucket. */
static uint64
accumulate(const Bounds * bounds, const uint64 *counts, Datum *up_to, double *sum)
{
	uint64		total = 0;
	int			bound = 0;

	*sum = 0;
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		double		seconds = pm_bucket_middle(i) / 1000000.0;

		while (bound < bounds->n && seconds > bounds->seconds[bound])
			up_to[bound++] = Int64GetDatum(total);
		total += counts[i];
		*sum += counts[i] * seconds;
	}
	while (bound < bounds->n)
		up_to[bound++] = Int64GetDatum(total);
	return total;
}

/* As exporters have it: the bounds, how many are up to each, their sum, and how many. */
static void
put_histogram(PmRow *row, const Bounds * bounds, const uint64 *counts)
{
	Datum		up_to[MOST_BOUNDS];
	double		sum;
	uint64		total = accumulate(bounds, counts, up_to, &sum);

	pm_put(row, bounds_array(bounds));
	pm_put(row, PointerGetDatum(construct_array(up_to, bounds->n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE)));
	pm_put(row, Float8GetDatum(sum));
	pm_put(row, Int64GetDatum((int64) total));
}

/* pool: NULL is all that is in none. */
static void
put_account(ReturnSetInfo *result, int account, const PmPool *pool, const PmOpen *open, PmFigures *figures)
{
	PmRow		row = {0};

	if (!pm_account_figures(account, figures, true))
		return;
	pm_put_text(&row, pool != NULL ? pool->name : "(undeclared)");
	pm_put_int(&row, figures->connections);
	pm_put_int(&row, figures->peak);
	pm_put_int(&row, pool != NULL && pm_retires(pool));
	pm_put_int(&row, pool != NULL && pm_retirement_pauses(account, pool));
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
		pm_put_counter(&row, i, figures->counters[i]);
	pm_put(&row, Float8GetDatum(Max(figures->busy + open->busy[account], 0) / 1000000.0));
	put_histogram(&row, &of_holds, figures->holds);
	put_histogram(&row, &of_lifetimes, figures->lifetimes);
	put_histogram(&row, &of_setups, figures->setups);
	pm_put_row(result, &row);
}

/*
 * A pool that found no account of its own for the moment has no row: with zeroes its
 * counters would seem to begin anew, and then to jump.
 */
static void
put_pool(ReturnSetInfo *result, int account, const PmPool *pool, const PmOpen *open, PmFigures *figures)
{
	if (account != pm_other_account())
		put_account(result, account, pool, open, figures);
}

PG_FUNCTION_INFO_V1(pm_metrics_counted);

Datum
pm_metrics_counted(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmFigures  *figures = palloc(sizeof(PmFigures));
	PmTally		tally;
	PmOpen		open;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_settle_all(&tally, &open);
	for (int i = 0; i < tally.rules->npools; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_pool(result, tally.rules->accounts[i], &tally.rules->pools[i], &open, figures);
	}
	put_account(result, pm_undeclared_account(), NULL, &open, figures);
	return (Datum) 0;
}
