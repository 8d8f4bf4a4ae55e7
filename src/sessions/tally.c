/*
 * tally.c
 *		One pass over the sessions: flags and counts.
 *
 * With thousands of sessions most of it is waiting for memory, so a session's slot
 * is not even looked at unless it is old by the wall clock: who is young by that is
 * young. Until when it is, is kept with the session (cache.c).
 */
#include "postgres.h"

#include "accounts/failed.h"
#include "base/clock.h"
#include "base/guc.h"
#include "sessions/cache.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/timestamp.h"

#define TOGETHER 10000			/* us, between two clocks read at one moment */

/*
 * The moment by both clocks. The process may have to wait between two readings:
 * then it was not one moment, and they are read again.
 */
static void
read_clocks(PmTally *tally)
{
	int64		before;
	int			tries = 10;

	do
	{
		before = pm_monotonic_us();
		tally->now = GetCurrentTimestamp();
		tally->at = pm_monotonic_us();
	} while (tally->at - before > TOGETHER && --tries > 0);
}

/*
 * Ends the tally before it, of this process: see PmSession. May take the lock of the
 * rules.
 */
void
pm_tally_begin(PmTally *tally)
{
	read_clocks(tally);
	tally->rules = pm_rules_current();
	tally->pass = pm_cache_begin(tally->rules, tally->at);
	tally->shares = NULL;
}

/* The class is met for the first time in this pass. */
void
pm_class_empty(PmClass *class, uint64 pass)
{
	class->pass = pass;
	class->account = -1;
	class->role_known = false;
	class->extra = NULL;
}

static PmAges
ages_by_wall_clock(const PmTally *tally, const PmSession *session)
{
	TimestampTz xact_since = pm_xact_since(session);
	PmAges		ages = {
		.age = pm_elapsed(session->backend_start, tally->now),
		.idle = session->state == PM_STATE_IDLE ? pm_elapsed(session->state_change, tally->now) : -1,
		.xact = xact_since != 0 ? pm_elapsed(xact_since, tally->now) : -1,
	};

	return ages;
}

/*
 * A transaction has been open for no longer than the time since the last one
 * ended; nobody notes by the monotonic clock when one begins. No lock.
 */
PmAges
pm_tally_ages(const PmTally *tally, const PmSession *session)
{
	PmAges		ages = ages_by_wall_clock(tally, session);
	int64		begun_at;
	int64		used_at;

	ages.sure = pm_slot_stamps(session, &begun_at, &used_at);
	if (ages.sure)
	{
		ages.age = Min(ages.age, pm_elapsed(begun_at, tally->at));
		ages.idle = Min(ages.idle, pm_elapsed(used_at, tally->at));
		ages.xact = Min(ages.xact, pm_elapsed(used_at, tally->at));
	}
	return ages;
}

/* What a session is older than that is over age by the margin; us, -1: none is. */
int64
pm_least_age(const PmPool *pool)
{
	if (pool->pool_recycle < 0)
		return -1;
	return pool->pool_recycle + (int64) (pool->pool_recycle / 100.0 * pm_recycle_margin);
}

static PmFlags
flags_of(const PmPool *pool, const PmAges *ages)
{
	PmFlags		flags = {0};

	if (pool->pool_recycle >= 0)
	{
		flags.over_age = ages->age > pool->pool_recycle;
		flags.over_margin = ages->age > pm_least_age(pool);
		flags.stale = flags.over_margin && ages->idle >= pool->recycle_grace;
	}
	flags.idle_over_limit = ages->idle > pool->idle_limit;
	flags.leak_suspect = ages->xact > pool->leak_threshold;
	return flags;
}

/* Of a session that is not calm any more: see pm_tally_flags(). */
PmFlags
pm_flags_now(const PmTally *tally, const PmSession *session)
{
	PmFlags		flags = {0};
	PmAges		ages = pm_tally_ages(tally, session);

	Assert(session->class->pool >= 0);
	if (ages.sure)
		return flags_of(&tally->rules->pools[session->class->pool], &ages);
	flags.no_slot = true;
	return flags;
}

void
pm_count_flags(PmCounts *counts, const PmFlags *flags)
{
	counts->stale += flags->stale;
	counts->idle_over_limit += flags->idle_over_limit;
	counts->leak_suspects += flags->leak_suspect;
}

/* Who has none of the longest ages by the wall clock has none at all: pm_count(). */
void
pm_note_ages(const PmTally *tally, PmCounts *counts, const PmSession *session)
{
	PmAges		ages = pm_tally_ages(tally, session);

	counts->oldest = Max(counts->oldest, ages.age);
	counts->longest_idle = Max(counts->longest_idle, ages.idle);
}

void
pm_counts_add(PmCounts *to, const PmCounts *counts)
{
	to->connections += counts->connections;
	for (int i = 0; i < PM_NUM_STATES; i++)
		to->in_state[i] += counts->in_state[i];
	to->stale += counts->stale;
	to->idle_over_limit += counts->idle_over_limit;
	to->leak_suspects += counts->leak_suspects;
	to->oldest = Max(to->oldest, counts->oldest);
	to->longest_idle = Max(to->longest_idle, counts->longest_idle);
}

PmStanding
pm_standing(const PmCounts *counts, int account, int64 at)
{
	return (PmStanding)
	{
		.connections = counts->connections,
			.busy = pm_busy(counts),
			.refused = pm_account_refused_lately(account, at / 1000),
	};
}

/* As pg_stat_activity has it; NULL when it is unknown. */
const char *
pm_state_name(PmSessionState state)
{
	switch (state)
	{
		case PM_STATE_IDLE:
			return "idle";
		case PM_STATE_ACTIVE:
			return "active";
		case PM_STATE_IDLE_IN_TRANSACTION:
			return "idle in transaction";
		case PM_STATE_IDLE_IN_TRANSACTION_ABORTED:
			return "idle in transaction (aborted)";
		case PM_STATE_UNKNOWN:
			return NULL;
	}
	return NULL;				/* keep the compiler quiet */
}
