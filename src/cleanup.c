/*
 * cleanup.c
 *		The scheduled clean-up, in the worker.
 *
 * Every recycle_interval, and whenever the turn of a pool comes whose sessions
 * wait for it, the worker looks at all sessions anew, and asks the oldest one of
 * each pool that may be retired at that moment: by the declarations, roles and
 * settings of now, no sooner than the pool's gap after its last one (schedule.c),
 * inside its window, not while it pauses (pauses.c), and no more than
 * recycle_limit of all pools in one recycle_interval. Of one pool, one session is
 * asked at a time. Where a session declines, the next one is asked; it is asked
 * again when a recycle_interval has passed and no other one is left.
 *
 * When a pool was last retired from, and who has declined, is in shared memory,
 * so that a worker that begins anew neither hurries nor repeats itself.
 *
 * Nobody is asked while a load of the declarations is under way or has failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "cleanup.h"
#include "clock.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "pauses.h"
#include "recycler.h"
#include "schedule.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ANSWER_TIMEOUT	2000	/* ms; for one answer */
#define ANSWER_INTERVAL	10		/* ms; between two looks at answers */
#define LOOK_AGAIN		1000	/* ms; pauses end, loads come to an end */

/* What happened to a pool's account since the interval began. */
typedef struct Sums
{
	int			retired;
	int			told;			/* of all that follow, by an event each */
	int			retired_untold;
	int			declined_untold;
	int			declined[PM_NUM_REASONS];	/* for the first time so */
} Sums;

static PmAsk *asks = NULL;		/* that have no answer yet; max_pools */
static int	nasks = 0;
static Sums *sums_of = NULL;	/* one for each account */
static int64 interval_begin = 0;	/* ms, monotonic; 0: none yet */
static int	interval_retired = 0;
static int64 next_look = 0;		/* ms, monotonic */
static uint64 looked_at = 0;	/* generation of the declarations */

/* ---- the record ---- */

/* "2 temporary schema, 1 session-level lock"; empty when none declined. */
static char *
describe_declines(const Sums *sums)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int reason = 1; reason < PM_NUM_REASONS; reason++)
	{
		if (sums->declined[reason] > 0)
			appendStringInfo(&text, "%s%d %s", text.len > 0 ? ", " : "",
							 sums->declined[reason], pm_reason_text(reason));
	}
	return text.data;
}

static void
tell_of_more(PmEventKind kind, const char *pool, int sessions)
{
	if (sessions > 0)
		pm_event(kind, pool, false, 0, "{\"further_sessions\": %d, \"by\": \"schedule\"}", sessions);
}

/* One line for a pool with more to say than the lines of single sessions. */
static void
sum_up(const char *pool, const Sums *sums)
{
	char	   *declines = describe_declines(sums);

	tell_of_more(PM_EVENT_RETIRED, pool, sums->retired_untold);
	tell_of_more(PM_EVENT_DECLINED, pool, sums->declined_untold);
	if (declines[0] != '\0')
		ereport(LOG,
				(errmsg("pool \"%s\": sessions retired: %d, declined: %s", pool, sums->retired, declines)));
	else if (sums->retired > 1)
		ereport(LOG,
				(errmsg("pool \"%s\": sessions retired: %d", pool, sums->retired)));
}

static void
begin_interval(int64 now)
{
	if (sums_of == NULL)
	{
		sums_of = MemoryContextAllocZero(TopMemoryContext, sizeof(Sums) * pm_num_accounts());
		asks = MemoryContextAllocZero(TopMemoryContext, sizeof(PmAsk) * pm_max_pools);
	}
	for (int i = 0; i < pm_num_accounts(); i++)
		sum_up(pm_shared->accounts[i].name, &sums_of[i]);
	memset(sums_of, 0, sizeof(Sums) * pm_num_accounts());
	interval_begin = now;
	interval_retired = 0;
}

static void
note_retired(const PmAsk *ask)
{
	Sums	   *sums = &sums_of[ask->account];

	sums->retired++;
	interval_retired++;
	if (sums->told < PM_SINGLE_EVENTS)
	{
		sums->told++;
		pm_asks_record(&ask, 1, false, "schedule");
	}
	else
		sums->retired_untold++;
	pm_ask_log(ask, LOG);
	pm_pauses_note_retired(ask->account);
}

/*
 * It is not asked again before a recycle_interval has passed. A decline is counted
 * each time, and told when it is new: a pinned session stays so for hours.
 */
static void
note_kept(const PmAsk *ask)
{
	PmSlot	   *slot = &pm_shared->slots[ask->session.index];
	Sums	   *sums = &sums_of[ask->account];
	bool		new = slot->declined_start != ask->session.backend_start || slot->declined_reason != ask->reason;

	slot->declined_start = ask->session.backend_start;
	slot->declined_reason = ask->reason;
	slot->declined_at = pm_monotonic_ms();
	if (!pm_ask_was_declined(ask))
		return;
	pm_ask_count_decline(ask);
	if (!new)
		return;
	sums->declined[ask->reason]++;
	if (sums->told < PM_SINGLE_EVENTS)
	{
		sums->told++;
		pm_asks_record(&ask, 1, true, "schedule");
	}
	else
		sums->declined_untold++;
}

/* ---- answers ---- */

/* Afterwards nasks says how many are still to come. */
static void
look_for_answers(void)
{
	int			waiting = 0;

	for (int i = 0; i < nasks; i++)
	{
		PmAsk	   *ask = &asks[i];

		if (pm_monotonic_ms() - ask->asked_at > ANSWER_TIMEOUT)
			pm_ask_withdraw(ask);
		else if (!pm_ask_settled(ask))
		{
			asks[waiting++] = *ask;
			continue;
		}
		if (ask->retired)
			note_retired(ask);
		else
			note_kept(ask);
		next_look = 0;
	}
	nasks = waiting;
}

static bool
is_asking(int account)
{
	for (int i = 0; i < nasks; i++)
	{
		if (asks[i].account == account)
			return true;
	}
	return false;
}

/* ---- questions ---- */

/* Was it asked in vain less than a recycle_interval ago? */
static bool
asked_lately(const PmSession *session, int64 now)
{
	const PmSlot *slot = &pm_shared->slots[session->index];

	return slot->declined_start == session->backend_start && now - slot->declined_at < pm_recycle_interval;
}

static bool
has_declined(const PmSession *session)
{
	return pm_shared->slots[session->index].declined_start == session->backend_start;
}

/* The oldest first; but those that have declined after all that have not. */
static bool
comes_before(const PmSession *session, const PmSession *other)
{
	if (has_declined(session) != has_declined(other))
		return has_declined(other);
	return session->backend_start < other->backend_start;
}

/*
 * The first session of each pool that may be retired; of pools without one the pid
 * stays 0. Looks up roles: shared catalogs, which need no database.
 */
static void
find_candidates(PmTally *tally, PmAsk *found, int64 now)
{
	PmScan		scan;
	PmSession	session;

	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(tally, &session);
		PmFlags		flags = pm_tally_flags(tally, class, &session);
		PmAsk	   *best = class->pool >= 0 ? &found[class->pool] : NULL;

		if (best == NULL || (best->session.pid != 0 && !comes_before(&session, &best->session)))
			continue;
		if (pm_keep_reason(tally, class, &session, &flags, true) == PM_REASON_NONE && !asked_lately(&session, now))
			pm_ask_init(best, &session, class->pool, tally->rules, &flags);
	}
}

/* When the session's turn comes; 0: it has come. */
static int64
turn_of(const PmAsk *ask, const PmPool *pool, int64 now)
{
	PmAccount  *account = &pm_shared->accounts[ask->account];
	int64		lifetime = ask->rule == PM_RULE_IDLE ? pool->idle_limit : pool->pool_recycle;
	int64		gap = pm_pool_gap(pool, lifetime, pg_atomic_read_u32(&account->connections));
	int64		due = account->pace.last_retired == 0 ? 0 : account->pace.last_retired + (gap + 999) / 1000;

	if (now < due)
		return due;
	if (pm_paused(ask->account))
		return now + LOOK_AGAIN;
	if (interval_retired + nasks >= pm_recycle_limit)
		return interval_begin + pm_recycle_interval;
	return 0;
}

static bool
any_pool_terminates(const PmRules *rules)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->pools[i].recycle_mode == PM_RECYCLE_TERMINATE)
			return true;
	}
	return false;
}

/* Is it what the owners want, and known to be so? */
static bool
may_retire(const PmRules *rules)
{
	return any_pool_terminates(rules) &&
		pm_load_state(pg_atomic_read_u64(&pm_shared->load_requested)) == PM_DECLARATIONS_CURRENT;
}

/* Asks those whose turn it is, the oldest first, and sets when to look again. */
static void
ask_candidates(PmAsk *found, const PmRules *rules, int64 now)
{
	int			n = 0;

	for (int pool = 0; pool < rules->npools; pool++)
	{
		if (found[pool].session.pid != 0)
			found[n++] = found[pool];
	}
	qsort(found, n, sizeof(PmAsk), pm_ask_compare_age);
	for (int i = 0; i < n; i++)
	{
		int64		turn;

		/* (other) may be the account of several pools */
		if (is_asking(found[i].account))
			continue;
		turn = turn_of(&found[i], &rules->pools[found[i].pool], now);
		if (turn > 0)
			next_look = Min(next_look, turn);
		else
		{
			pm_ask(&found[i]);
			asks[nasks++] = found[i];
		}
	}
}

/*
 * One look at all sessions. The transaction is for the roles, and for what is
 * allocated on the way.
 */
static void
look(int64 now)
{
	MemoryContext caller = CurrentMemoryContext;
	PmTally		tally;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pm_tally_begin(&tally);
	looked_at = tally.rules->generation;
	next_look = now + pm_recycle_interval;
	if (may_retire(tally.rules))
	{
		PmAsk	   *found = palloc0(sizeof(PmAsk) * tally.rules->npools);

		find_candidates(&tally, found, now);
		ask_candidates(found, tally.rules, now);
	}
	else
		next_look = Min(next_look, now + LOOK_AGAIN);
	pm_tally_end(&tally);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

/*
 * Called by the worker at each turn of its loop, in a memory context that is reset
 * between them. Returns in how many ms it wants to be called again.
 */
int64
pm_cleanup_tick(void)
{
	const PmRules *rules = pm_rules_current();
	int64		now = pm_monotonic_ms();

	if (interval_begin == 0 || now - interval_begin >= pm_recycle_interval)
		begin_interval(now);
	look_for_answers();
	if (rules->generation != looked_at)
		next_look = 0;
	next_look = Min(next_look, now + pm_recycle_interval);
	pm_pauses_tick(rules, any_pool_terminates(rules));
	if (!pm_recycle_enabled || !any_pool_terminates(rules))
		next_look = now + pm_recycle_interval;
	else if (now >= next_look)
		look(now);
	return nasks > 0 ? ANSWER_INTERVAL : Max(next_look - pm_monotonic_ms(), 0);
}
