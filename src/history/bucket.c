/*
 * bucket.c
 *		What one series did in a stretch of time: adding to it.
 */
#include "postgres.h"

#include "common/int.h"
#include "history/bucket.h"

/*
 * Of what there can be more in an hour than there is room for, transactions of very many
 * short ones, waits of very many sessions and what clients say: as many as there is room for.
 */
static uint32
add_within(uint32 a, uint32 b)
{
	uint32		sum;

	return pg_add_u32_overflow(a, b, &sum) ? PG_UINT32_MAX : sum;
}

/* What news has comes to what the bucket has. */
void
pm_bucket_add(PmBucket *bucket, const PmBucket *news)
{
	bucket->connections += news->connections;
	bucket->busy += news->busy;
	bucket->seen += news->seen;
	bucket->max_connections = Max(bucket->max_connections, news->max_connections);
	bucket->max_busy = Max(bucket->max_busy, news->max_busy);
	bucket->connects += news->connects;
	bucket->disconnects += news->disconnects;
	bucket->refused += news->refused;
	bucket->rejected += news->rejected;
	bucket->guarded += news->guarded;
	bucket->would_be_guarded += news->would_be_guarded;
	bucket->guarded_by_reserves += news->guarded_by_reserves;
	bucket->guarded_by_rate += news->guarded_by_rate;
	bucket->auth_failures += news->auth_failures;
	bucket->retired += news->retired;
	bucket->transactions = add_within(bucket->transactions, news->transactions);
	bucket->long_holds = add_within(bucket->long_holds, news->long_holds);
	bucket->checkouts = add_within(bucket->checkouts, news->checkouts);
	bucket->checkout_waits = add_within(bucket->checkout_waits, news->checkout_waits);
	bucket->waited += news->waited;
	bucket->timed_checkouts = add_within(bucket->timed_checkouts, news->timed_checkouts);
	bucket->checked_out += news->checked_out;
	bucket->reported_open += news->reported_open;
	bucket->checkout_timeouts = add_within(bucket->checkout_timeouts, news->checkout_timeouts);
	bucket->overflow += news->overflow;
	bucket->exhausted += news->exhausted;
	bucket->over += news->over;
	bucket->starved += news->starved;
	for (int i = 0; i < PM_NUM_WAITS; i++)
		bucket->waits[i] = add_within(bucket->waits[i], news->waits[i]);
	bucket->ticks += news->ticks;
	bucket->squares = add_within(bucket->squares, news->squares);
}
