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
#include "retire/shares.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ANSWER_TIMEOUT	2000	/* ms; for one answer */
#define ANSWER_INTERVAL	10		/* ms; between two looks at answers */
#define LOOK_AGAIN		1000	/* ms; pauses end, loads come to an end */
#define LOOK_UP_BUDGET	20		/* ms; of roles in one look, and again when
								 * asking */

/* A question that has no answer yet. */
typedef struct Question
{
	PmAsk		ask;
	int64		former_turn;	/* PmPace.last_retired before it */
	int64		gap;			/* ms */
} Question;

/* What one look has found of a pool. A pid of 0: no session. */
typedef struct Found
{
	PmAsk		stale;
	PmAsk		idle;			/* above base, for shrink_idle */
	bool		noted;			/* who is next; for the pauses */
} Found;

static Question *questions = NULL;	/* most_questions() */
static int	nquestions = 0;
static int64 next_look = 0;		/* ms, monotonic */
static uint64 looked_at = 0;	/* generation of the declarations */

/* One of each account that a pool can have, (other) among them. */
static int
most_questions(void)
{
	return pm_first_application() + 1;
}

/* ---- answers ---- */

static void
note_answer(const Question *question)
{
	const PmAsk *ask = &question->ask;

	/* the pace is not that of another pool, which has got the account since */
	if (pm_account_incarnation(ask->account) != ask->incarnation)
		;
	else if (ask->retired)
		pm_pauses_note_retired(ask->account, &ask->session, question->gap);
	else
		pm_pace_of(ask->account)->last_retired = question->former_turn;
	pm_outcomes_note(ask);
}

/* Afterwards nquestions says how many are still open; late: none is. */
static void
look_for_answers(bool late)
{
	int			waiting = 0;

	for (int i = 0; i < nquestions; i++)
	{
		Question   *question = &questions[i];

		if (late || pm_monotonic_ms() - question->ask.asked_at > ANSWER_TIMEOUT)
			pm_ask_withdraw(&question->ask);
		else if (!pm_ask_settled(&question->ask))
		{
			questions[waiting++] = *question;
			continue;
		}
		note_answer(question);
		next_look = 0;
	}
	nquestions = waiting;
}

static bool
is_asking(int account)
{
	for (int i = 0; i < nquestions; i++)
	{
		if (questions[i].ask.account == account)
			return true;
	}
	return false;
}

/* ---- questions ---- */

/* Was it asked in vain less than a recycle_interval ago? */
static bool
asked_lately(const PmSession *session, int64 now)
{
	const PmSlot *slot = &pm_slots->all[session->index];

	return slot->declined_start == session->backend_start && now - slot->declined_at < pm_recycle_interval;
}

/*
 * At its last question, for whatever reason? Somebody could have many sessions that
 * decline each time, and keep all others from being asked.
 */
static bool
has_declined(const PmSession *session)
{
	return pm_slots->all[session->index].declined_start == session->backend_start;
}

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
	if (has_declined(session) != has_declined(other))
		return has_declined(other);
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

	pm_shares_count(tally);
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
		if (comes_before(session, &best->session, tally->rules->accounts[class->pool]) && !asked_lately(session, now) &&
			pm_keep_reason(tally, class, session, &flags, true) == PM_REASON_NONE)
			pm_ask_init(best, session, class->pool, tally->rules, &flags);
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
	if (pm_paused(ask->account, ask->session.userid) || nquestions == most_questions())
		return now + LOOK_AGAIN;
	if (pm_retirement->interval_retired + nquestions >= pm_recycle_limit)
		return pm_retirement->interval_begin + pm_recycle_interval;
	return 0;
}

static void
put_question(const PmAsk *ask, const PmPool *pool, int64 now)
{
	PmPace	   *pace = pm_pace_of(ask->account);
	Question   *question = &questions[nquestions++];

	question->ask = *ask;
	question->former_turn = pace->last_retired;
	question->gap = gap_of(ask, pool);
	pace->last_retired = now;
	pm_ask(&question->ask);
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

/* Its role may have been protected since it was found. */
static bool
may_still_be_asked(const PmAsk *ask)
{
	return pm_verdict_anew(ask->session.userid, pm_slot_role(&ask->session)) == PM_REASON_NONE;
}

/* Asks those whose turn it is, the oldest first, and sets when to look again. */
static void
ask_candidates(const PmAsk *candidates, int n, Found *found, const PmRules *rules, int64 now)
{
	for (int i = 0; i < n; i++)
	{
		const PmPool *pool = &rules->pools[candidates[i].pool];
		int64		turn;

		if (is_asking(candidates[i].account))
			continue;
		note_next(&candidates[i], &found[candidates[i].pool]);
		turn = turn_of(&candidates[i], pool, now);
		if (turn == 0 && !may_still_be_asked(&candidates[i]))
			turn = now + LOOK_AGAIN;
		if (turn > 0)
			next_look = Min(next_look, turn);
		else
			put_question(&candidates[i], pool, now);
	}
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

static bool
is_wanted(void)
{
	return pm_recycle_enabled && any_pool_terminates(pm_rules_current());
}

/*
 * Called by the worker at each turn of its loop, before pm_cleanup_tick(). Returns in how
 * many ms it wants to be called again.
 */
int64
pm_cleanup_answers(void)
{
	pm_outcomes_tick(pm_monotonic_ms());
	look_for_answers(!is_wanted());
	pm_pauses_tick(pm_rules_current(), is_wanted());
	return nquestions > 0 ? ANSWER_INTERVAL : pm_recycle_interval;
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
	bool		wanted = is_wanted();

	if (rules->generation != looked_at)
		next_look = 0;
	next_look = Min(next_look, now + pm_recycle_interval);
	if (!wanted)
		next_look = now + pm_recycle_interval;
	else if (current && now >= next_look)
		look(now);
	if (nquestions > 0)
		return ANSWER_INTERVAL;
	/* the end of a load wakes the worker: then it is looked at once */
	return current ? Max(next_look - pm_monotonic_ms(), 0) : LOOK_AGAIN;
}

static void
take_back_questions(int code, Datum arg)
{
	/* after an error some may still be held, and what follows takes them */
	LWLockReleaseAll();
	look_for_answers(true);
}

/* Called by the worker when it starts. */
void
pm_cleanup_start(void)
{
	questions = MemoryContextAllocZero(TopMemoryContext, sizeof(Question) * most_questions());
	pm_outcomes_start();
	before_shmem_exit(take_back_questions, (Datum) 0);
}
