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
 * so that a worker that begins anew neither hurries nor repeats itself; it takes
 * its questions back when it ends. A pool's turn is used up when the question is
 * put, and given back when the answer is no: so an end in between makes it later,
 * never sooner.
 *
 * Nobody is asked while a load of the declarations is under way or has failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/reason.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "pools/schedule.h"
#include "protected/verdicts.h"
#include "retire/ask.h"
#include "retire/cleanup.h"
#include "retire/eligible.h"
#include "retire/outcomes.h"
#include "retire/pace.h"
#include "retire/pauses.h"
#include "retire/questions.h"
#include "retire/shares.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define LOOK_AGAIN		1000	/* ms; pauses end, loads come to an end */
#define LOOK_UP_BUDGET	20		/* ms; of roles in one look, and again when
								 * asking */

/* What one look has found of a pool. A pid of 0: no session. */
typedef struct Found
{
	PmAsk		stale;
	PmAsk		idle;			/* above base, for shrink_idle */
	bool		noted;			/* who is next; for the pauses */
} Found;

static int64 next_look = 0;		/* ms, monotonic */
static uint64 looked_at = 0;	/* generation of the declarations */

/* ---- whom ---- */

/*
 * The oldest first; but those that have declined after all that have not, and those
 * whose role pauses in this pool after all others, whom they must not keep.
 */
static bool
comes_before(const PmSession *session, const PmSession *other, int account)
{
	if (other->pid == 0)
		return true;
	if (pm_paused(account, session->userid) != pm_paused(account, other->userid))
		return pm_paused(account, other->userid);
	if (pm_has_declined(session) != pm_has_declined(other))
		return pm_has_declined(other);
	return pm_slots->all[session->index].begun_at < pm_slots->all[other->index].begun_at;
}

/*
 * Looks up roles: shared catalogs, which need no database, and no longer than
 * LOOK_UP_BUDGET. Whom there was no time for is nobody's candidate in this look.
 */
static void
find_candidates(PmTally *tally, Found *found, int64 now)
{
	PmScan		scan;
	const PmSession *session;

	pm_shares_count(tally, false);
	pm_verdicts_begin(LOOK_UP_BUDGET);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(tally, session);
		PmFlags		flags = pm_tally_flags(tally, session);
		PmAsk	   *best;

		if (class->pool < 0)
			continue;
		best = flags.stale ? &found[class->pool].stale : &found[class->pool].idle;
		if (comes_before(session, &best->session, tally->rules->accounts[class->pool]) && !pm_asked_lately(session, now) &&
			pm_keep_reason(tally, class, session, &flags, true) == PM_REASON_NONE)
			pm_ask_init(best, session, class->pool, tally->rules, flags.stale ? PM_RULE_STALE : PM_RULE_IDLE);
	}
}

static int64
gap_of(const PmAsk *ask, const PmPool *pool)
{
	int64		lifetime = ask->rule == PM_RULE_IDLE ? pool->idle_limit : pool->pool_recycle;

	return (pm_pool_gap(pool, lifetime, pg_atomic_read_u32(&pm_accounts->all[ask->account].connections)) + 999) / 1000;
}

/* When the session's turn comes; 0: it has come. */
static int64
turn_of(const PmAsk *ask, const PmPool *pool, int64 now)
{
	int64		last = pm_pace_of(ask->account)->last_retired;
	int64		due = last == 0 ? 0 : last + gap_of(ask, pool);

	if (now < due)
		return due;
	if (pm_paused(ask->account, ask->session.userid) || pm_questions_full())
		return now + LOOK_AGAIN;
	if (pm_questions_at_limit())
		return pm_retirement->interval_begin + pm_recycle_interval;
	return 0;
}

/* Those of all pools that could be asked, by age; returns how many. */
static int
collect(const Found *found, const PmRules *rules, PmAsk *candidates)
{
	int			n = 0;

	for (int i = 0; i < rules->npools; i++)
	{
		if (found[i].stale.session.pid != 0)
			candidates[n++] = found[i].stale;
		if (found[i].idle.session.pid != 0)
			candidates[n++] = found[i].idle;
	}
	qsort(candidates, n, sizeof(PmAsk), pm_ask_compare_age);
	return n;
}

/* Of each pool, the first one that does not pause. */
static void
note_next(const PmAsk *ask, Found *found)
{
	if (found->noted || pm_paused(ask->account, ask->session.userid))
		return;
	found->noted = true;
	pm_pauses_note_next(ask->account, &ask->session);
}

/* Asks those whose turn it is, the oldest first, and sets when to look again. */
static void
ask_candidates(const PmAsk *candidates, int n, Found *found, const PmRules *rules, int64 now)
{
	for (int i = 0; i < n; i++)
	{
		const PmPool *pool = &rules->pools[candidates[i].pool];
		int64		turn;

		if (pm_is_asking(candidates[i].account))
			continue;
		note_next(&candidates[i], &found[candidates[i].pool]);
		turn = turn_of(&candidates[i], pool, now);
		if (turn == 0 && !pm_question_put(&candidates[i], gap_of(&candidates[i], pool), now))
			turn = now + LOOK_AGAIN;
		if (turn > 0)
			next_look = Min(next_look, turn);
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
	Found	   *found;
	PmAsk	   *candidates;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pm_tally_begin(&tally);
	looked_at = tally.rules->generation;
	next_look = now + pm_recycle_interval;
	found = palloc0(sizeof(Found) * (tally.rules->npools + 1));
	candidates = palloc(sizeof(PmAsk) * 2 * (tally.rules->npools + 1));
	find_candidates(&tally, found, now);
	if (pm_verdicts_put_off())
		next_look = Min(next_look, now + LOOK_AGAIN);
	pm_verdicts_begin(LOOK_UP_BUDGET);
	ask_candidates(candidates, collect(found, tally.rules, candidates), found, tally.rules, now);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

/* ---- the worker ---- */

/*
 * Called by the worker at each turn of its loop, before pm_cleanup_tick(). Returns in how
 * many ms it wants to be called again.
 */
int64
pm_cleanup_answers(void)
{
	pm_outcomes_tick(pm_monotonic_ms());
	if (pm_questions_look(!pm_questions_allowed()))
		next_look = 0;
	pm_pauses_tick(pm_rules_current(), pm_questions_allowed());
	return pm_questions_wait(pm_recycle_interval);
}

/*
 * Called by the worker at each turn of its loop, in a memory context that is reset
 * between them. Returns in how many ms it wants to be called again.
 *
 * Whether all that was committed is loaded is asked before the declarations are
 * read, so that what is read is not older than the answer.
 */
int64
pm_cleanup_tick(void)
{
	int64		now = pm_monotonic_ms();
	bool		current = pm_load_state(pg_atomic_read_u64(&pm_declarations->load_requested)) == PM_DECLARATIONS_CURRENT;
	const PmRules *rules = pm_rules_current();
	bool		wanted = pm_questions_allowed();

	if (rules->generation != looked_at)
		next_look = 0;
	next_look = Min(next_look, now + pm_recycle_interval);
	if (!wanted)
		next_look = now + pm_recycle_interval;
	else if (current && now >= next_look)
		look(now);
	/* the end of a load wakes the worker: then it is looked at once */
	return pm_questions_wait(current ? Max(next_look - pm_monotonic_ms(), 0) : LOOK_AGAIN);
}
