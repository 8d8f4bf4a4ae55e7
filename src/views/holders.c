/*
 * holders.c
 *		holders(): who held connections in a span of time, declared or not. who() and
 *		changes() are made of it.
 */
#include "postgres.h"

#include "base/result.h"
#include "base/shmem.h"
#include "history/workload.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "views/common.h"

/* An average over the time seen; NULL when nothing was. */
static void
put_average(PmRow *row, double sum, double seen)
{
	if (seen > 0)
		pm_put(row, Float8GetDatum(sum / seen));
	else
		pm_put_null(row);
}

static void
put_holder(ReturnSetInfo *result, const PmPast *past, const PmWorkload *work)
{
	PmRow		row = {0};
	double		seen = work->seen / 1000.0;

	pm_put_text(&row, past->of_application ? NULL : past->name);
	pm_put_application(&row, &past->application);
	pm_put_duration(&row, work->seen * 1000);
	put_average(&row, work->connections / 1000000.0, seen);
	pm_put_int(&row, work->max_connections);
	put_average(&row, work->busy / 1000000.0, seen);
	pm_put_int(&row, work->max_busy);
	pm_put_bound(&row, work->transactions);
	pm_put_bound(&row, work->connects);
	pm_put_bound(&row, work->refused);
	pm_put_bound(&row, work->guarded);
	pm_put_bound(&row, work->would_be_guarded);
	put_average(&row, work->exhausted / 1000.0, seen);
	for (int i = 0; i < PM_NUM_WAITS; i++)
		put_average(&row, work->waits[i] * (PM_WAIT_UNIT / 1000.0), seen);
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_holders);

/* holders(since timestamptz, until timestamptz) */
Datum
pm_holders(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmSpan		span = {
		.since = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0),
		.until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1),
	};
	PmPast		past;
	PmWorkload	work;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_past_begin_all(&past, pm_workload_reads(span));
	while (pm_past_next(&past))
	{
		CHECK_FOR_INTERRUPTS();
		pm_workload_of(&past, span, &work);
		if (work.nstretches > 0)
			put_holder(result, &past, &work);
	}
	return (Datum) 0;
}
