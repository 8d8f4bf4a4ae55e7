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

/* A pool that changed between good (ok, overflow) and bad, for the log. */
typedef struct Change
{
	const PmPool *pool;
	PmStatus	status;
	PmCounts	counts;
} Change;

static bool
is_bad(PmStatus status)
{
	return status == PM_STATUS_EXHAUSTED || status == PM_STATUS_OVER;
}

/* Caller holds lock. Does this change of status belong in the log? */
static bool
store_pool(PmPoolState *state, const PmPool *pool, const PmCounts *counts, TimestampTz now)
{
	PmStatus	status = pm_pool_status(pool, counts->connections, pm_busy(counts));
	bool		notable = false;

	if (counts->connections > state->peak_connections)
	{
		state->peak_connections = counts->connections;
		state->peak_at = now;
	}
	if (state->status_since == 0 || state->status != status)
	{
		notable = is_bad(status) || is_bad(state->status);
		state->status = status;
		state->status_since = now;
	}
	return notable;
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
			const PmPool *pool = &tally->rules->pools[i];

			if (store_pool(&pm_shared->states[i], pool, &pools[i], tally->now))
			{
				changes[nchanges].pool = pool;
				changes[nchanges].status = pm_shared->states[i].status;
				changes[nchanges].counts = pools[i];
				nchanges++;
			}
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

	if (change->status == PM_STATUS_OVER)
		ereport(LOG,
				(errmsg("pool \"%s\" is over its budget: %d connections, %d more than its budget of %d",
						pool->name, connections, connections - pool->budget, pool->budget)));
	else if (change->status == PM_STATUS_EXHAUSTED)
		ereport(LOG,
				(errmsg("pool \"%s\" is exhausted: %d connections busy of %d that it can open",
						pool->name, pm_busy(&change->counts), pool->ceiling)));
	else
		ereport(LOG,
				(errmsg("pool \"%s\" is neither exhausted nor over its budget any more: %d connections, %d busy",
						pool->name, connections, pm_busy(&change->counts))));
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
	changes = palloc0(sizeof(Change) * (tally.rules->npools + 1));

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
