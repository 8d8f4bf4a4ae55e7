/*
 * timeline.c
 *		history() and events(), behind the views of their names.
 */
#include "postgres.h"

#include "base/result.h"
#include "base/shmem.h"
#include "events/events.h"
#include "history/read.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "views/common.h"

static void
put_average(PmRow *row, double sum, uint32 seen)
{
	if (seen == 0)
		pm_put_null(row);
	else
		pm_put(row, Float8GetDatum(sum / (seen * 1000.0)));
}

static void
put_bucket(ReturnSetInfo *result, TimestampTz start, int64 resolution, const char *pool, const PmBucket *bucket)
{
	PmRow		row = {0};

	pm_put_time(&row, start);
	pm_put_duration(&row, resolution);
	pm_put_text(&row, pool);
	pm_put(&row, Float8GetDatum(bucket->seen / 1000.0));
	put_average(&row, bucket->connections, bucket->seen);
	pm_put_int(&row, bucket->max_connections);
	put_average(&row, bucket->busy, bucket->seen);
	pm_put_int(&row, bucket->max_busy);
	pm_put_bound(&row, bucket->connects);
	pm_put_bound(&row, bucket->disconnects);
	pm_put_bound(&row, bucket->refused);
	pm_put_bound(&row, bucket->guarded);
	pm_put_bound(&row, bucket->would_be_guarded);
	pm_put_bound(&row, bucket->guarded_by_reserves);
	pm_put_bound(&row, bucket->guarded_by_rate);
	pm_put_bound(&row, bucket->rejected);
	pm_put_bound(&row, bucket->auth_failures);
	pm_put_bound(&row, bucket->retired);
	pm_put_bound(&row, bucket->transactions);
	pm_put(&row, Float8GetDatum(bucket->overflow / 1000.0));
	pm_put(&row, Float8GetDatum(bucket->exhausted / 1000.0));
	pm_put(&row, Float8GetDatum(bucket->over / 1000.0));
	pm_put(&row, Float8GetDatum(bucket->starved / 1000.0));
	pm_put_bound(&row, bucket->checkouts);
	pm_put_bound(&row, bucket->checkout_waits);
	pm_put(&row, Float8GetDatum(bucket->waited / 1000000.0));
	pm_put_bound(&row, bucket->checkout_timeouts);
	pm_put_bound(&row, bucket->timed_checkouts);
	pm_put(&row, Float8GetDatum(bucket->checked_out / 1000000.0));
	pm_put(&row, Float8GetDatum(bucket->reported_open / 1000000.0));
	pm_put_row(result, &row);
}

static void
put_stretches(ReturnSetInfo *result, const char *pool, const PmRingCopy *stretches, int64 resolution)
{
	for (int i = 0; i < stretches->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (pm_bucket_has_something(&stretches->buckets[i]))
			put_bucket(result, stretches->starts[i], resolution, pool, &stretches->buckets[i]);
	}
}

/* In us, as that of one of the rings. */
static int64
resolution_of(const Interval *interval)
{
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		if (interval->month == 0 && interval->day == 0 && interval->time == pm_history_rings->rings[r].resolution)
			return interval->time;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("resolution must be interval '1 minute' or interval '1 hour'")));
}

PG_FUNCTION_INFO_V1(pm_history);

/* history(pool text, resolution interval, since timestamptz, until timestamptz) */
Datum
pm_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *pool = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	PmSpan		span = {
		.since = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2),
		.until = PG_ARGISNULL(3) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(3),
	};
	PmPast		past;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_past_begin(&past, pool, PG_ARGISNULL(1) ? 0 : resolution_of(PG_GETARG_INTERVAL_P(1)), span);
	while (pm_past_next(&past))
	{
		for (int r = 0; r < PM_NUM_RINGS; r++)
			put_stretches(result, past.name, &past.rings[r], pm_history_rings->rings[r].resolution);
	}
	return (Datum) 0;
}

/* ---- events ---- */

PG_FUNCTION_INFO_V1(pm_events);

Datum
pm_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmEventCursor cursor = {0};
	PmEvent		event;
	uint64		last;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	last = pg_atomic_read_u64(&pm_event_ring->last_seq);
	/* what is newer comes the next time */
	while (pm_event_next(&cursor, &event) && event.seq <= last)
	{
		PmRow		row = {0};

		CHECK_FOR_INTERRUPTS();
		pm_put_bound(&row, event.seq);
		pm_put_time(&row, event.at);
		pm_put_text(&row, event.owner.discovered || !pm_event_has_owner(&event) ? NULL : event.owner.name);
		pm_put_application(&row, &event.owner);
		pm_put_text(&row, pm_event_kinds[event.kind].name);
		if (event.pid != 0)
			pm_put_int(&row, event.pid);
		else
			pm_put_null(&row);
		pm_put_text(&row, event.detail);
		pm_put_int(&row, event.times);
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}
