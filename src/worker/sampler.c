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
#include "accounts/failed.h"
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
#include "retire/pauses.h"
#include "sessions/scan.h"
#include "sessions/settle.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/timestamp.h"
#include "worker/atwork.h"
#include "worker/bygone.h"
#include "worker/guarding.h"
#include "worker/holders.h"
#include "worker/sampler.h"
#include "worker/statuses.h"

/* What one tick has counted. */
typedef struct Sample
{
	PmTally		tally;
	PmOpen		open;
	PmAtWork	work;
	PmGuarding	guarding;
	PmCounts   *pools;			/* npools */
	PmCounts	undeclared;
	PmCounts	server;
	PmServerStanding standing;
	bool		no_slot_left;
	int64		elapsed;		/* us, as history counts it; 0: not known */
} Sample;

static PmStanding
standing_of(const Sample *sample, int pool)
{
	return pm_standing(&sample->pools[pool], sample->tally.rules->accounts[pool], sample->tally.at);
}

/*
 * Returns the number of changes put into changes[], PM_NUM_CONDITIONS at most of the
 * server, which comes first, of each pool, and of each that pm_bygone_find() found; -1: the
 * declarations changed.
 */
static int
store(const Sample *sample, PmChange *changes)
{
	const PmRules *rules = sample->tally.rules;
	int			nchanges = 0;

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&pm_declarations->generation) == rules->generation)
	{
		nchanges = pm_follow_server(&sample->standing, sample->elapsed, sample->tally.now, changes);
		nchanges += pm_bygone_take(&changes[nchanges]);
		for (int i = 0; i < rules->npools; i++)
		{
			PmStanding	standing = standing_of(sample, i);

			nchanges += pm_follow_pool(&pm_declarations->states[i], &rules->pools[i], &standing,
									   sample->elapsed, sample->tally.now, &changes[nchanges]);
			pm_bygone_keep(rules, i);
		}
	}
	else
		nchanges = -1;
	pm_accounts_tidy(pm_monotonic_ms());
	LWLockRelease(&pm_accounts->lock.lock);
	return nchanges;
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

	pm_holders_begin(sample->elapsed);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&sample->tally, session);
		PmFlags		flags = pm_tally_flags(&sample->tally, session);
		int			account;

		if (flags.leak_suspect)
			tell_of_leak(sample, session);
		pm_count(&sample->tally, class->pool >= 0 ? &sample->pools[class->pool] : &sample->undeclared, session, &flags);
		account = pm_settle(&sample->tally, class, session, &sample->open);
		pm_holders_see(account, pm_is_busy(session->state));
		pm_at_work_note(&sample->work, account, session);
	}
	pm_holders_end();
	sample->server = sample->undeclared;
	for (int i = 0; i < sample->tally.rules->npools; i++)
		pm_counts_add(&sample->server, &sample->pools[i]);
}

static void
look_at_server(Sample *sample)
{
	const PmRules *rules = sample->tally.rules;
	PmDeclared	declared = pm_declared(rules->pools, rules->npools);
	PmServerStanding *server = &sample->standing;
	int			in_use = pm_slots_in_use(&server->authenticating);

	server->connections = sample->server.connections;
	server->usable = pm_usable_connections();
	server->budget = pm_server_budget();
	server->is[PM_IS_OVER] = server->connections > server->budget;
	server->is[PM_IS_FULL] = pm_account_refused_lately(pm_server_account(), sample->tally.at / 1000);
	server->status = pm_server_status(&declared, server->budget, server->connections, server->is[PM_IS_FULL]);
	sample->no_slot_left = in_use >= server->usable;
}

static PmSeen
see_pool(const Sample *sample, int i)
{
	const PmPool *pool = &sample->tally.rules->pools[i];
	PmStanding	standing = standing_of(sample, i);

	return (PmSeen)
	{
		.busy = standing.busy,
			.overflow = pm_overflow(pool, standing.connections) > 0,
			.exhausted = pm_pool_is(pool, PM_IS_EXHAUSTED, &standing),
			.over = pm_pool_is(pool, PM_IS_OVER, &standing),
			.starved = pm_pool_is(pool, PM_IS_STARVED, &standing),
			.paused = pm_retirement_pauses(sample->tally.rules->accounts[i], pool),
	};
}

static void
feed_history(const Sample *sample)
{
	const PmRules *rules = sample->tally.rules;
	PmSeen	   *pools = palloc0(sizeof(PmSeen) * (rules->npools + 1));
	PmSeen		undeclared = {.busy = pm_busy(&sample->undeclared)};
	PmSeen		server = {
		.busy = pm_busy(&sample->server),
		.exhausted = sample->no_slot_left,
		.over = sample->standing.is[PM_IS_OVER],
		.starved = sample->standing.is[PM_IS_FULL],
	};

	for (int i = 0; i < rules->npools; i++)
		pools[i] = see_pool(sample, i);
	pm_history_tick(rules, pools, &undeclared, &server, &sample->open, &sample->work, sample->tally.now, sample->tally.at);
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
	PmChange   *changes;
	int			nchanges;
	int			held;
	bool		crowded = pm_accounts_make_room(pm_monotonic_ms(), &held);

	pm_guarding_begin(&sample.guarding);
	pm_settle_begin(&sample.tally, &sample.open);
	sample.elapsed = pm_history_elapsed(sample.tally.at);
	pm_at_work_begin(&sample.work);
	sample.pools = palloc0(sizeof(PmCounts) * (sample.tally.rules->npools + 1));
	changes = palloc(sizeof(PmChange) * PM_NUM_CONDITIONS *
					 (1 + sample.tally.rules->npools + pm_bygone_find(sample.tally.rules)));

	count_sessions(&sample);
	look_at_server(&sample);
	nchanges = store(&sample, changes);
	pm_tell_changes(changes, nchanges, &sample.standing);
	if (nchanges >= 0)
	{
		pm_guarding_tick(&sample.guarding, sample.tally.rules, sample.pools, &sample.undeclared);
		feed_history(&sample);
	}
	pm_storms_tick(sample.tally.rules);
	pm_tell_of_repeats();
	if (crowded)
		tell_of_full_applications(held);
}
