/*
 * sampler.c
 *		One tick: counts the sessions, brings the accounts up to date, keeps each
 *		pool's status, feeds the history, and tells of what has changed.
 *
 * The counting goes without a lock but those of the sheets that have something
 * new. lock is taken once, to store the statuses; if the declarations changed
 * in between, that part is dropped and the next tick counts anew. Log lines and
 * events are written after the lock is released.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "events/events.h"
#include "history/history.h"
#include "history/storms.h"
#include "pools/assign.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/scan.h"
#include "sessions/settle.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/timestamp.h"
#include "worker/sampler.h"

/* What one tick has counted. */
typedef struct Sample
{
	PmTally		tally;
	PmOpen		open;
	PmCounts   *pools;			/* npools */
	PmCounts	undeclared;
	PmCounts	server;
} Sample;

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

	if (state->status_since != 0 && change->from == change->to)
		return false;
	state->status = change->to;
	state->status_since = now;
	return is_bad(change->from) || is_bad(change->to);
}

/* Returns the number of changes put into changes[]; -1: the declarations changed. */
static int
store(const Sample *sample, Change *changes)
{
	const PmRules *rules = sample->tally.rules;
	int			nchanges = 0;

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&pm_declarations->generation) == rules->generation)
	{
		for (int i = 0; i < rules->npools; i++)
		{
			if (store_pool(&pm_declarations->states[i], &rules->pools[i], &sample->pools[i],
						   sample->tally.now, &changes[nchanges]))
				nchanges++;
		}
	}
	else
		nchanges = -1;
	pm_accounts_tidy(pm_monotonic_ms());
	LWLockRelease(&pm_accounts->lock.lock);
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

/* False when nothing of it was recorded singly: it comes too often. */
static bool
record_change(const Change *change)
{
	const char *name = change->pool->name;
	int			connections = change->counts.connections;
	int			busy = pm_busy(&change->counts);
	bool		recorded = false;

	if (change->from == PM_STATUS_OVER)
		recorded |= pm_event(PM_EVENT_BACK_IN_BUDGET, name, 0,
							 "{\"connections\": %d, \"budget\": %d}", connections, change->pool->budget);
	if (change->from == PM_STATUS_EXHAUSTED && change->to != PM_STATUS_OVER)
		recorded |= pm_event(PM_EVENT_NO_LONGER_EXHAUSTED, name, 0,
							 "{\"busy\": %d, \"ceiling\": %d}", busy, change->pool->ceiling);
	if (change->to == PM_STATUS_OVER)
		recorded |= pm_event(PM_EVENT_OVER_BUDGET, name, 0,
							 "{\"connections\": %d, \"budget\": %d}", connections, change->pool->budget);
	if (change->to == PM_STATUS_EXHAUSTED)
		recorded |= pm_event(PM_EVENT_EXHAUSTED, name, 0,
							 "{\"busy\": %d, \"ceiling\": %d}", busy, change->pool->ceiling);
	return recorded;
}

/*
 * Records what is due of what was held back. Of statuses, which have lines in the
 * log, one tells of all that came onto the record so since the last tick, whoever let
 * them go.
 */
static void
tell_of_repeats(void)
{
	static PmEventCursor logged = {0};
	static bool begun = false;
	PmEvent		event;

	/* what is there when the worker begins is an earlier one's */
	if (!begun)
		logged.seq = pg_atomic_read_u64(&pm_event_ring->last_seq);
	begun = true;
	pm_events_release_due();
	while (pg_atomic_read_u64(&pm_event_ring->last_seq) > logged.seq && pm_event_next(&logged, &event))
	{
		if (!event.held_back)
			continue;
		if (event.kind == PM_EVENT_DECLARATIONS_LOADED)
			ereport(LOG,
					(errmsg("pool_monitor loaded the declared pools %u more times, the last at %s",
							event.times, timestamptz_to_str(event.at)),
					 errdetail("%s", event.detail)));
		else if (pm_event_kinds[event.kind].of_status)
			ereport(LOG,
					(errmsg("pool \"%s\": \"%s\" %u more times, the last at %s",
							event.owner.name, pm_event_kinds[event.kind].name, event.times, timestamptz_to_str(event.at)),
					 errdetail("%s", event.detail)));
	}
}

/*
 * An event for a session that has become a leak suspect, once for each
 * transaction (but again when it has failed and stays open for as long).
 */
static void
tell_of_leak(Sample *sample, const PmSession *session)
{
	const PmTally *tally = &sample->tally;
	TimestampTz since = pm_xact_since(session);
	TimestampTz *told = &pm_slots->all[session->index].leak_told;
	char		name[2 * NAMEDATALEN];

	if (*told == since)
		return;
	*told = since;
	pm_event(PM_EVENT_LEAK_SUSPECT, tally->rules->pools[session->class->pool].name, session->pid,
			 "{\"application_name\": \"%s\", \"backend_start\": \"%s\", \"xact_age\": %.3f, \"state\": \"%s\"}",
			 pm_json_escape(name, session->class->application_name), timestamptz_to_str(session->backend_start),
			 pm_tally_ages(tally, session).xact / 1000000.0, pm_state_name(session->state));
}

static void
count_sessions(Sample *sample)
{
	PmScan		scan;
	const PmSession *session;

	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&sample->tally, session);
		PmFlags		flags = pm_tally_flags(&sample->tally, session);

		if (flags.leak_suspect)
			tell_of_leak(sample, session);
		pm_count(&sample->tally, class->pool >= 0 ? &sample->pools[class->pool] : &sample->undeclared, session, &flags);
		(void) pm_settle(&sample->tally, class, session, &sample->open);
	}
	sample->server = sample->undeclared;
	for (int i = 0; i < sample->tally.rules->npools; i++)
		pm_counts_add(&sample->server, &sample->pools[i]);
}

static PmSeen
see_pool(const PmPool *pool, const PmCounts *counts)
{
	PmSeen		seen = {0};

	seen.busy = pm_busy(counts);
	seen.overflow = pm_overflow(pool, counts->connections) > 0;
	seen.exhausted = pool->ceiling >= 0 && seen.busy >= pool->ceiling;
	seen.over = pool->budget >= 0 && counts->connections > pool->budget;
	return seen;
}

static void
feed_history(const Sample *sample)
{
	const PmRules *rules = sample->tally.rules;
	PmSeen	   *pools = palloc0(sizeof(PmSeen) * (rules->npools + 1));
	PmSeen		undeclared = {.busy = pm_busy(&sample->undeclared)};
	int			authenticating;
	PmSeen		server = {
		.busy = pm_busy(&sample->server),
		.exhausted = pm_slots_in_use(&authenticating) >= pm_usable_connections(),
		.over = sample->server.connections > pm_server_budget(),
	};

	for (int i = 0; i < rules->npools; i++)
		pools[i] = see_pool(&rules->pools[i], &sample->pools[i]);
	pm_history_tick(rules, pools, &undeclared, &server, &sample->open, sample->tally.now, sample->tally.at);
}

/*
 * Said once of each crowd: from now on "(other)" is somebody. When all places have
 * sessions it is the newcomers, until some end; else those unused for longest.
 */
static void
tell_of_full_applications(int held)
{
	if (pm_accounts->applications_full)
		return;
	pm_accounts->applications_full = true;
	pm_event(PM_EVENT_APPLICATIONS_FULL, NULL, 0,
			 "{\"max_applications\": %d, \"with_sessions\": %d}", pm_max_applications, held);
	ereport(LOG,
			(errmsg("pool_monitor has seen more than %d undeclared applications: those without sessions that were not used for longest are counted together as \"(other)\"",
					pm_max_applications),
			 errdetail("%d of them have sessions and stay. While all have, new ones are in \"(other)\" too.", held),
			 errhint("Declare pools for them, or raise \"pool_monitor.max_applications\" and restart the server.")));
}

/* Allocates in the current memory context, which the worker resets. */
void
pm_sample(void)
{
	Sample		sample = {0};
	Change	   *changes;
	int			nchanges;
	int			held;
	bool		crowded = pm_accounts_make_room(pm_monotonic_ms(), &held);

	pm_settle_begin(&sample.tally, &sample.open);
	sample.pools = palloc0(sizeof(PmCounts) * (sample.tally.rules->npools + 1));
	changes = palloc(sizeof(Change) * (sample.tally.rules->npools + 1));

	count_sessions(&sample);
	nchanges = store(&sample, changes);
	for (int i = 0; i < nchanges; i++)
	{
		if (record_change(&changes[i]))
			log_change(&changes[i]);
	}
	if (nchanges >= 0)
		feed_history(&sample);
	pm_storms_tick(sample.tally.rules);
	tell_of_repeats();
	if (crowded)
		tell_of_full_applications(held);
}
