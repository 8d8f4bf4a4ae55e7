/*
 * sampler.c
 *		One tick: counts the sessions and keeps each pool's peak and status.
 *
 * The counting goes without a lock. lock is taken once, to store the outcome;
 * if the declarations changed in between, the tick is dropped and the next one
 * counts anew. Log lines are written after the lock is released.
 */
#include "postgres.h"

#include "sampler.h"
#include "tally.h"

/* A change of status that belongs in the log. */
typedef struct Change
{
	const PmPool *pool;
	PmStatus	from;
	PmStatus	to;
	PmCounts	counts;
} Change;

static bool
is_bad(PmStatus status)
{
	return status == PM_STATUS_EXHAUSTED || status == PM_STATUS_OVER;
}

/* Caller holds lock. Fills in change and returns true if the log is to have it. */
static bool
store_pool(PmPoolState *state, const PmPool *pool, const PmCounts *counts,
		   TimestampTz now, Change *change)
{
	change->pool = pool;
	change->from = state->status;
	change->to = pm_pool_status(pool, counts->connections, pm_busy(counts));
	change->counts = *counts;

	if (counts->connections > state->peak_connections)
	{
		state->peak_connections = counts->connections;
		state->peak_at = now;
	}
	if (state->status_since != 0 && change->from == change->to)
		return false;
	state->status = change->to;
	state->status_since = now;
	return is_bad(change->from) || is_bad(change->to);
}

/* Returns the number of changes put into changes[]. */
static int
store(const PmTally *tally, const PmCounts *pools, int connections, Change *changes)
{
	int			nchanges = 0;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&pm_shared->generation) == tally->rules->generation)
	{
		for (int i = 0; i < tally->rules->npools; i++)
		{
			if (store_pool(&pm_shared->states[i], &tally->rules->pools[i], &pools[i],
						   tally->now, &changes[nchanges]))
				nchanges++;
		}
	}
	if (connections > pm_shared->peak_connections)
	{
		pm_shared->peak_connections = connections;
		pm_shared->peak_at = tally->now;
	}
	LWLockRelease(pm_shared->lock);
	return nchanges;
}

static void
log_change(const Change *change)
{
	const PmPool *pool = change->pool;
	int			connections = change->counts.connections;
	int			busy = pm_busy(&change->counts);

	if (change->to == PM_STATUS_OVER)
		ereport(LOG,
				(errmsg("pool \"%s\" is over its budget: connections %d, budget %d",
						pool->name, connections, pool->budget)));
	else if (change->to == PM_STATUS_EXHAUSTED)
		ereport(LOG,
				(errmsg("pool \"%s\" is exhausted: busy %d, ceiling %d",
						pool->name, busy, pool->ceiling)));
	else if (change->from == PM_STATUS_OVER)
		ereport(LOG,
				(errmsg("pool \"%s\" is no longer over its budget: connections %d, busy %d",
						pool->name, connections, busy)));
	else
		ereport(LOG,
				(errmsg("pool \"%s\" is no longer exhausted: connections %d, busy %d",
						pool->name, connections, busy)));
}

/* Allocates in the current memory context, which the worker resets. */
void
pm_sample(void)
{
	PmTally		tally;
	PmScan		scan;
	PmSession	session;
	PmCounts   *pools;
	Change	   *changes;
	int			connections = 0;
	int			nchanges;

	pm_tally_begin(&tally);
	pools = palloc0(sizeof(PmCounts) * (tally.rules->npools + 1));
	changes = palloc(sizeof(Change) * (tally.rules->npools + 1));

	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(&tally, &session);
		PmFlags		flags = {0};

		connections++;
		if (class->pool >= 0)
			pm_count(&pools[class->pool], &session, &flags);
	}

	nchanges = store(&tally, pools, connections, changes);
	for (int i = 0; i < nchanges; i++)
		log_change(&changes[i]);
	pm_tally_end(&tally);
}
