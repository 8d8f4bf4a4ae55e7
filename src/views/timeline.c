/*
 * timeline.c
 *		The views history and events.
 */
#include "postgres.h"

#include "base/identity.h"
#include "base/result.h"
#include "base/shmem.h"
#include "events/events.h"
#include "history/history.h"
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
	pm_put_bound(&row, bucket->retired);
	pm_put_bound(&row, bucket->transactions);
	pm_put(&row, Float8GetDatum(bucket->overflow / 1000.0));
	pm_put(&row, Float8GetDatum(bucket->exhausted / 1000.0));
	pm_put(&row, Float8GetDatum(bucket->over / 1000.0));
	pm_put_row(result, &row);
}

/* One series in one ring, copied under the lock and put out without it. */
static void
put_series(ReturnSetInfo *result, const PmRing *ring, int s, TimestampTz *starts, PmBucket *buckets)
{
	const PmSeries *series = &pm_history_rings->series[s];
	char		name[PM_NAME_LEN];
	int			count;
	int			head;

	LWLockAcquire(&pm_history_rings->lock, LW_SHARED);
	strlcpy(name, series->name, PM_NAME_LEN);
	count = ring->count;
	head = ring->head;
	memcpy(starts, ring->starts, ring->length * sizeof(TimestampTz));
	memcpy(buckets, ring->buckets + (Size) s * ring->length, ring->length * sizeof(PmBucket));
	LWLockRelease(&pm_history_rings->lock);

	if (name[0] == '\0')
		return;
	for (int n = 0; n < count; n++)
	{
		int			at = (head - count + 1 + n + ring->length) % ring->length;

		CHECK_FOR_INTERRUPTS();
		/* where a pool was not declared yet there is nothing to say */
		if (buckets[at].seen > 0 || buckets[at].connects > 0 || buckets[at].disconnects > 0 || buckets[at].refused > 0)
			put_bucket(result, starts[at], ring->resolution, name, &buckets[at]);
	}
}

PG_FUNCTION_INFO_V1(pm_history);

Datum
pm_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		const PmRing *ring = &pm_history_rings->rings[r];
		TimestampTz *starts = palloc(ring->length * sizeof(TimestampTz));
		PmBucket   *buckets = palloc(ring->length * sizeof(PmBucket));

		for (int s = 0; s < pm_history_rings->nseries; s++)
			put_series(result, ring, s, starts, buckets);
		pfree(starts);
		pfree(buckets);
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
