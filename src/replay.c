/*
 * replay.c
 *		Puts a made-up past into the history, for the tests of what is concluded
 *		from it. No SQL script declares it: a test does, as a superuser.
 */
#include "postgres.h"

#include "fmgr.h"
#include "history.h"
#include "miscadmin.h"
#include "shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pm_replay_history);

/*
 * replay_history(pool text, minutes int, connections float8, max_connections int,
 * busy float8, max_busy int, connects int, disconnects int, refused int,
 * transactions int, overflow float8, exhausted float8): so many minutes, up to the
 * present one, each with the same averages, maxima and counts, and these shares of
 * its time above base and at the ceiling.
 */
Datum
pm_replay_history(PG_FUNCTION_ARGS)
{
	int			n = PG_GETARG_INT32(1);
	PmBucket   *buckets;

	pm_require_preload();
	if (!superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("must be superuser to make up history")));
	if (n < 1 || n > pm_shared->history->rings[0].length)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("minutes must be between 1 and %d", pm_shared->history->rings[0].length)));
	buckets = palloc0(n * sizeof(PmBucket));
	for (int i = 0; i < n; i++)
	{
		PmBucket   *bucket = &buckets[i];

		bucket->seen = 60000;
		bucket->connections = PG_GETARG_FLOAT8(2) * 60000000;
		bucket->max_connections = PG_GETARG_INT32(3);
		bucket->busy = PG_GETARG_FLOAT8(4) * 60000000;
		bucket->max_busy = PG_GETARG_INT32(5);
		bucket->connects = PG_GETARG_INT32(6);
		bucket->disconnects = PG_GETARG_INT32(7);
		bucket->refused = PG_GETARG_INT32(8);
		bucket->transactions = PG_GETARG_INT32(9);
		bucket->overflow = PG_GETARG_FLOAT8(10) * 60000;
		bucket->exhausted = PG_GETARG_FLOAT8(11) * 60000;
	}
	pm_history_replay(0, text_to_cstring(PG_GETARG_TEXT_PP(0)), GetCurrentTimestamp(), buckets, n);
	PG_RETURN_VOID();
}
