/*
 * pool_monitor_replay.c
 *		Puts a made-up past into the history, for the tests of what is concluded
 *		from it.
 *
 * It reaches the shared memory of the library that the server has loaded by
 * pm_history_memory() and pm_accounts_memory(), and knows its layout from the
 * headers of the same tree; of the library's functions it uses none. A pool must be
 * declared, so that the worker has given it a series.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replay.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define SERIES_TIMEOUT	30000	/* ms; the worker makes one within a sample */
#define SERIES_INTERVAL	10		/* ms; between two looks */

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pm_replay_history);
PG_FUNCTION_INFO_V1(pm_replay_rings);
PG_FUNCTION_INFO_V1(pm_replay_stretch);

typedef PmHistory *(*HistoryMemory) (void);

PmHistory *
replay_history_memory(void)
{
	HistoryMemory function = (HistoryMemory) load_external_function("$libdir/pool_monitor", "pm_history_memory", true, NULL);
	PmHistory  *history = function();

	if (history == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pool_monitor must be loaded via \"shared_preload_libraries\"")));
	return history;
}

PmAccounts *
replay_accounts_memory(void)
{
	return ((PmAccounts *(*) (void)) load_external_function("$libdir/pool_monitor", "pm_accounts_memory", true, NULL)) ();
}

/* The past that is made up is one with the sizes that the pool has now. */
static void
had_these_sizes(const char *pool)
{
	PmAccounts *accounts = replay_accounts_memory();
	int			npools = 2 * atoi(GetConfigOption("pool_monitor.max_pools", false, false));

	LWLockAcquire(&accounts->lock.lock, LW_EXCLUSIVE);
	for (int i = 0; i < npools; i++)
	{
		PmAccount  *account = &accounts->all[i];

		if (account->sizes.since != 0 && strcmp(account->owner.name, pool) == 0)
			account->sizes.since = DT_NOBEGIN;
	}
	LWLockRelease(&accounts->lock.lock);
}

/* The place of the pool's series, -1 where there is none. Caller holds its lock. */
int
replay_find_series(const PmHistory *history, const char *pool)
{
	for (int i = 0; i < history->nseries; i++)
	{
		if (strcmp(history->series[i].name, pool) == 0)
			return i;
	}
	return -1;
}

/*
 * Lays the ring of minutes out anew, so that its last stretch is the present one
 * and the n - 1 before it are there without a gap. Caller holds its lock.
 */
static void
lay_out(PmHistory *history, PmRing *ring, TimestampTz last, int n)
{
	memset(ring->buckets, 0, (Size) ring->length * history->nseries * sizeof(PmBucket));
	ring->count = n;
	ring->head = n - 1;
	for (int i = 0; i < n; i++)
		ring->starts[i] = last - (n - 1 - i) * ring->resolution;
}

/*
 * Fills one series; of others only what falls on the same stretches stays. False
 * when the pool has none.
 */
static bool
fill(PmHistory *history, const char *pool, const PmBucket *bucket, int n)
{
	PmRing	   *ring = &history->rings[0];
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz last = now - now % ring->resolution;
	int			series;

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	series = replay_find_series(history, pool);
	if (series >= 0 && n == 0)
		memset(&ring->buckets[(Size) series * ring->length], 0, ring->length * sizeof(PmBucket));
	else if (series >= 0 && (ring->count < n || ring->starts[ring->head] != last))
		lay_out(history, ring, last, n);
	for (int i = 0; i < n && series >= 0; i++)
		ring->buckets[(Size) series * ring->length + (ring->head - i + ring->length) % ring->length] = *bucket;
	LWLockRelease(&history->lock);
	return series >= 0;
}

/* So many of its transactions were long ones, if their holds were random (exponential). */
static uint32
long_ones(const PmBucket *bucket)
{
	return bucket->busy > 0 ? rint(bucket->transactions * exp(-(double) PM_LONG_HOLD * bucket->transactions / bucket->busy)) : 0;
}

/* The worker gives a pool that was just declared its series with the next sample. */
static void
fill_when_there(PmHistory *history, const char *pool, const PmBucket *bucket, int n)
{
	for (int waited = 0; !fill(history, pool, bucket, n); waited += SERIES_INTERVAL)
	{
		if (waited >= SERIES_TIMEOUT)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("pool \"%s\" has no history to put a past into", pool)));
		CHECK_FOR_INTERRUPTS();
		pg_usleep(SERIES_INTERVAL * 1000L);
	}
}

/*
 * replay_history(pool text, minutes int, connections float8, max_connections int,
 * busy float8, max_busy int, connects int, disconnects int, refused int,
 * transactions int, overflow float8, exhausted float8): so many minutes, up to the
 * present one, each with the same averages, maxima and counts, and these shares of
 * its time above base and at the ceiling. 0 minutes: it has none any more.
 */
Datum
pm_replay_history(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			n = PG_GETARG_INT32(1);
	PmBucket	bucket = {0};

	if (n < 0 || n > history->rings[0].length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("minutes must be between 0 and %d", history->rings[0].length)));
	bucket.seen = 60000;
	bucket.connections = PG_GETARG_FLOAT8(2) * 60000000;
	bucket.max_connections = PG_GETARG_INT32(3);
	bucket.busy = PG_GETARG_FLOAT8(4) * 60000000;
	bucket.max_busy = PG_GETARG_INT32(5);
	bucket.connects = PG_GETARG_INT32(6);
	bucket.disconnects = PG_GETARG_INT32(7);
	bucket.refused = PG_GETARG_INT32(8);
	bucket.transactions = PG_GETARG_INT32(9);
	bucket.long_holds = long_ones(&bucket);
	bucket.overflow = PG_GETARG_FLOAT8(10) * 60000;
	bucket.exhausted = PG_GETARG_FLOAT8(11) * 60000;
	fill_when_there(history, pool, &bucket, n);
	had_these_sizes(pool);
	PG_RETURN_VOID();
}

/* ---- rings of any shape ---- */

/* Empty stretches that begin then, placed so that they go over the ring's end. Caller holds its lock. */
static void
begin_ring(PmHistory *history, PmRing *ring, const Datum *starts, int n)
{
	int			first = ring->length - n / 2;

	memset(ring->buckets, 0, (Size) ring->length * history->nseries * sizeof(PmBucket));
	ring->count = n;
	ring->head = (first + n - 1) % ring->length;
	for (int i = 0; i < n; i++)
		ring->starts[(first + i) % ring->length] = DatumGetTimestampTz(starts[i]);
}

/*
 * replay_rings(minutes timestamptz[], hours timestamptz[]): both rings anew, with
 * empty stretches that begin at these moments, which must be in order.
 */
Datum
pm_replay_rings(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	Datum	   *starts[PM_NUM_RINGS];
	int			n[PM_NUM_RINGS];

	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(r), TIMESTAMPTZOID, sizeof(TimestampTz), true, TYPALIGN_DOUBLE,
						  &starts[r], NULL, &n[r]);
		if (n[r] < 1 || n[r] > history->rings[r].length)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there must be between 1 and %d stretches", history->rings[r].length)));
	}
	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	for (int r = 0; r < PM_NUM_RINGS; r++)
		begin_ring(history, &history->rings[r], starts[r], n[r]);
	LWLockRelease(&history->lock);
	PG_RETURN_VOID();
}

/* The place of one stretch; NULL when there is none. Caller holds the lock. */
static PmBucket *
find_bucket(PmHistory *history, const char *pool, int64 resolution, TimestampTz start)
{
	int			series = replay_find_series(history, pool);

	for (int r = 0; r < PM_NUM_RINGS && series >= 0; r++)
	{
		PmRing	   *ring = &history->rings[r];

		for (int i = 0; i < ring->count && ring->resolution == resolution; i++)
		{
			int			place = (ring->head - i + ring->length) % ring->length;

			if (ring->starts[place] == start)
				return &ring->buckets[(Size) series * ring->length + place];
		}
	}
	return NULL;
}

/*
 * replay_stretch(pool text, resolution interval, bucket_start timestamptz, seen float8,
 * connections float8, max_connections int, busy float8, max_busy int, connects int,
 * disconnects int, refused int, retired int, transactions int, overflow float8,
 * exhausted float8, over float8): one stretch of replay_rings(); times in seconds,
 * averages over the time seen.
 */
Datum
pm_replay_stretch(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	double		seen = PG_GETARG_FLOAT8(3);
	PmBucket	bucket = {0};
	PmBucket   *place;

	bucket.seen = rint(seen * 1000);
	bucket.connections = PG_GETARG_FLOAT8(4) * seen * 1000000;
	bucket.max_connections = PG_GETARG_INT32(5);
	bucket.busy = PG_GETARG_FLOAT8(6) * seen * 1000000;
	bucket.max_busy = PG_GETARG_INT32(7);
	bucket.connects = PG_GETARG_INT32(8);
	bucket.disconnects = PG_GETARG_INT32(9);
	bucket.refused = PG_GETARG_INT32(10);
	bucket.retired = PG_GETARG_INT32(11);
	bucket.transactions = PG_GETARG_INT32(12);
	bucket.long_holds = long_ones(&bucket);
	bucket.overflow = rint(PG_GETARG_FLOAT8(13) * 1000);
	bucket.exhausted = rint(PG_GETARG_FLOAT8(14) * 1000);
	bucket.over = rint(PG_GETARG_FLOAT8(15) * 1000);
	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	place = find_bucket(history, pool, PG_GETARG_INTERVAL_P(1)->time, PG_GETARG_TIMESTAMPTZ(2));
	if (place != NULL)
		*place = bucket;
	LWLockRelease(&history->lock);
	if (place == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pool \"%s\" has no such stretch", pool)));
	had_these_sizes(pool);
	PG_RETURN_VOID();
}
