/*
 * counted.c
 *		What was counted in the minutes of a made-up past: arrivals, holds, reports, refusals.
 */
#include "postgres.h"

#include "fmgr.h"
#include "replay.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pm_replay_arrivals);
PG_FUNCTION_INFO_V1(pm_replay_use);
PG_FUNCTION_INFO_V1(pm_replay_guarded);
PG_FUNCTION_INFO_V1(pm_replay_holds);
PG_FUNCTION_INFO_V1(pm_replay_long_holds);

/*
 * replay_arrivals(pool text, ticks int, squares bigint, checkouts int, waits int, waited float8,
 * timeouts int [, bucket_start timestamptz]): in each minute that the pool has had, or in that
 * one; the last four numbers as its clients report.
 */
Datum
pm_replay_arrivals(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PmRing	   *ring = &history->rings[0];
	int			series;

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	series = replay_find_series(history, pool);
	for (int i = 0; i < ring->count && series >= 0; i++)
	{
		int			place = (ring->head - i + ring->length) % ring->length;
		PmBucket   *bucket = &ring->buckets[(Size) series * ring->length + place];

		/* what is forgotten has left its place, and is no minute of the pool */
		if (bucket->seen == 0 || (PG_NARGS() > 7 && ring->starts[place] != PG_GETARG_TIMESTAMPTZ(7)))
			continue;
		bucket->ticks = PG_GETARG_INT32(1);
		bucket->squares = PG_GETARG_INT64(2);
		bucket->checkouts = PG_GETARG_INT32(3);
		bucket->checkout_waits = PG_GETARG_INT32(4);
		bucket->waited = PG_GETARG_FLOAT8(5) * 1000000;
		bucket->checkout_timeouts = PG_GETARG_INT32(6);
	}
	LWLockRelease(&history->lock);
	PG_RETURN_VOID();
}

/*
 * replay_use(pool text, minutes int, checkouts int, checked_out float8, open float8): in the last
 * so many minutes that the pool has had; so many of the checkouts that its clients report, which
 * had so many connections, of so many on average.
 */
Datum
pm_replay_use(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	PmRing	   *ring = &history->rings[0];
	int			series;

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	series = replay_find_series(history, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (int i = 0; i < ring->count && series >= 0; i++)
	{
		PmBucket   *bucket = &ring->buckets[(Size) series * ring->length + (ring->head - i + ring->length) % ring->length];
		double		us = i < PG_GETARG_INT32(1) ? bucket->seen * 1000.0 : 0;

		bucket->timed_checkouts = us > 0 ? PG_GETARG_INT32(2) : 0;
		bucket->checked_out = PG_GETARG_FLOAT8(3) * us;
		bucket->reported_open = PG_GETARG_FLOAT8(4) * us;
	}
	LWLockRelease(&history->lock);
	PG_RETURN_VOID();
}

/*
 * replay_guarded(pool text, minutes int, guarded int, would_be_guarded int, max_connections int,
 * over float8, guarded_by_reserves int, guarded_by_rate int): likewise, in the last so many of
 * these minutes; over: the share of the time above budget.
 */
Datum
pm_replay_guarded(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PmRing	   *ring = &history->rings[0];
	int			series;

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	series = replay_find_series(history, pool);
	for (int i = 0; i < Min(ring->count, PG_GETARG_INT32(1)) && series >= 0; i++)
	{
		PmBucket   *bucket = &ring->buckets[(Size) series * ring->length + (ring->head - i + ring->length) % ring->length];

		bucket->guarded = PG_GETARG_INT32(2);
		bucket->would_be_guarded = PG_GETARG_INT32(3);
		bucket->max_connections = PG_GETARG_INT32(4);
		bucket->over = PG_GETARG_FLOAT8(5) * bucket->seen;
		bucket->guarded_by_reserves = PG_GETARG_INT32(6);
		bucket->guarded_by_rate = PG_GETARG_INT32(7);
	}
	LWLockRelease(&history->lock);
	PG_RETURN_VOID();
}

/* The pool's account; an error when it has none. */
static int
find_account(const PmAccounts *accounts, const char *pool)
{
	int			npools = 2 * atoi(GetConfigOption("pool_monitor.max_pools", false, false));

	for (int i = 0; i < npools; i++)
	{
		if (accounts->all[i].sizes.since != 0 && strcmp(accounts->all[i].owner.name, pool) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("pool \"%s\" has no account", pool)));
}

/* replay_holds(pool text, us bigint, n bigint): so many transactions more held for so long. */
Datum
pm_replay_holds(PG_FUNCTION_ARGS)
{
	PmAccounts *accounts = replay_accounts_memory();
	int			account = find_account(accounts, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	int64		us = PG_GETARG_INT64(1);
	int			bucket = pm_bucket(us);
	PmAccount  *a = &accounts->all[account];

	pg_atomic_fetch_add_u64(&accounts->times[account * PM_NUM_TIMES + PM_HOLDS].counts[bucket], PG_GETARG_INT64(2));
	pg_atomic_fetch_or_u64(&a->octaves[PM_HOLDS], UINT64CONST(1) << (bucket / PM_OCTAVE_BUCKETS));
	if ((int64) pg_atomic_read_u64(&a->hold_max) < us)
		pg_atomic_write_u64(&a->hold_max, us);
	PG_RETURN_VOID();
}

/* replay_long_holds(pool text, n int): so many of the transactions in each minute that the pool has had. */
Datum
pm_replay_long_holds(PG_FUNCTION_ARGS)
{
	PmHistory  *history = replay_history_memory();
	PmRing	   *ring = &history->rings[0];
	int			series;

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	series = replay_find_series(history, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	for (int i = 0; i < ring->count && series >= 0; i++)
		ring->buckets[(Size) series * ring->length + (ring->head - i + ring->length) % ring->length].long_holds = PG_GETARG_INT32(1);
	LWLockRelease(&history->lock);
	PG_RETURN_VOID();
}
