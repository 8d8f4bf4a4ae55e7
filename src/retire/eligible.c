/*
 * eligible.c
 *		Who is to be retired.
 *
 * What can be known from outside is decided here; whether the session is at
 * rest is decided by its own backend when it is asked (ask.c, answer.c). The
 * scheduled clean-up is in cleanup.c, the one by hand in recycle.c.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "pools/schedule.h"
#include "protected/verdicts.h"
#include "retire/eligible.h"
#include "retire/pace.h"
#include "retire/pauses.h"
#include "retire/shares.h"
#include "sessions/slot.h"
#include "utils/timestamp.h"

/*
 * Reasons that lie in the role it logged in with, and in the one it began to act
 * as where that is another one: verdicts.c. Needs a transaction.
 */
static PmReason
roles_reason(PmClass *class, const PmSession *session)
{
	Oid			role = pm_slot_role(session);

	if (!class->role_known)
	{
		class->role_reason = pm_verdict(class->key.userid);
		class->role_known = true;
	}
	if (class->role_reason == PM_REASON_NONE && OidIsValid(role) && role != class->key.userid)
		return pm_verdict(role);
	return class->role_reason;
}

/*
 * Is the session one that shrink_idle takes, and that gives way? Never below base, nor
 * without one; and what counts is what its own login role has in the pool (shares.c).
 */
static bool
is_spare(const PmTally *tally, const PmClass *class, const PmSession *session, const PmFlags *flags)
{
	const PmPool *pool = &tally->rules->pools[class->pool];

	return !pool->grows_from_zero && flags->idle_over_limit &&
		pm_share(tally, class->pool, session) > pool->base;
}

static bool
shrinks(const PmTally *tally, const PmClass *class, const PmSession *session, const PmFlags *flags)
{
	return class->pool >= 0 && tally->rules->pools[class->pool].shrink_idle &&
		is_spare(tally, class, session, flags);
}

/* Why its age is none to be retired at. */
static PmReason
age_reason(const PmPool *pool, const PmFlags *flags)
{
	if (pool->pool_recycle < 0)
		return PM_REASON_NEVER;
	if (!flags->over_age)
		return PM_REASON_NOT_OVER_AGE;
	return flags->over_margin ? PM_REASON_NONE : PM_REASON_MARGIN;
}

/* Reasons that lie in the session, not in its role or the settings; a spare one may be of any age. */
static PmReason
session_reason(const PmTally *tally, const PmClass *class, const PmSession *session,
			   const PmFlags *flags, bool spare)
{
	PmReason	reason;

	if (class->pool < 0)
		return PM_REASON_NO_POOL;
	if (flags->no_slot)
		return PM_REASON_NO_SLOT;
	reason = age_reason(&tally->rules->pools[class->pool], flags);
	if (!spare && reason != PM_REASON_NONE)
		return reason;
	if (session->pid == MyProcPid)
		return PM_REASON_CALLER;
	if (session->state == PM_STATE_UNKNOWN)
		return PM_REASON_STATE_UNKNOWN;
	if (session->state == PM_STATE_ACTIVE)
		return PM_REASON_BUSY;
	if (session->state != PM_STATE_IDLE)
		return PM_REASON_IN_TRANSACTION;
	if (!spare && !flags->stale)
		return PM_REASON_GRACE;
	return PM_REASON_NONE;
}

/* Reasons that lie in its roles, its pool's declaration, the settings and the time of the day. */
static PmReason
other_reason(const PmTally *tally, PmClass *class, const PmSession *session, bool scheduled)
{
	PmReason	reason = roles_reason(class, session);
	const PmPool *pool = &tally->rules->pools[class->pool];

	if (reason != PM_REASON_NONE)
		return reason;
	if (pool->recycle_mode == PM_RECYCLE_OFF)
		return PM_REASON_MODE_OFF;
	if (scheduled && pool->recycle_mode == PM_RECYCLE_REPORT)
		return PM_REASON_MODE_REPORT;
	if (!pm_recycle_enabled)
		return PM_REASON_DISABLED;
	if (scheduled && !pm_window_open(&pool->recycle_window, tally->now))
		return PM_REASON_WINDOW;
	return PM_REASON_NONE;
}

/*
 * Why the session is not to be asked to end itself, PM_REASON_NONE when it is.
 * A scheduled clean-up needs recycle_mode "terminate", and takes what shrink_idle
 * says too; one by hand leaves only pools alone whose mode is "off". The kill
 * switch stops both. Needs a transaction, pm_verdicts_begin() and, for a scheduled
 * one, pm_shares_count().
 */
PmReason
pm_keep_reason(const PmTally *tally, PmClass *class, const PmSession *session,
			   const PmFlags *flags, bool scheduled)
{
	bool		spare = scheduled && shrinks(tally, class, session, flags);
	PmReason	reason = session_reason(tally, class, session, flags, spare);

	return reason != PM_REASON_NONE ? reason : other_reason(tally, class, session, scheduled);
}

/*
 * May the session be asked to end itself for a login that needs its place, whether its pool
 * shrinks or not? Needs what a scheduled clean-up does, and the shares of all pools.
 */
bool
pm_gives_way(const PmTally *tally, PmClass *class, const PmSession *session, const PmFlags *flags)
{
	return class->pool >= 0 && is_spare(tally, class, session, flags) &&
		session_reason(tally, class, session, flags, true) == PM_REASON_NONE &&
		other_reason(tally, class, session, true) == PM_REASON_NONE;
}

/*
 * Why a session that may be retired on schedule is not just now; one that has
 * declined a moment ago with what it said. What the worker is about to do is read
 * without a lock: each word is whole, and old in a moment.
 */
PmReason
pm_wait_reason(const PmRules *rules, const PmClass *class, const PmSession *session, const PmFlags *flags)
{
	const PmPool *pool = &rules->pools[class->pool];
	PmAccount  *account = &pm_accounts->all[rules->accounts[class->pool]];
	const PmPace *pace = pm_pace_seen(rules->accounts[class->pool]);
	const PmSlot *slot = &pm_slots->all[session->index];
	int64		lifetime = flags->stale ? pool->pool_recycle : pool->idle_limit;
	int64		gap = pm_pool_gap(pool, lifetime, pg_atomic_read_u32(&account->connections)) / 1000;
	int64		now = pm_monotonic_ms();

	if (pm_load_state(pg_atomic_read_u64(&pm_declarations->load_requested)) != PM_DECLARATIONS_CURRENT)
		return PM_REASON_LOADING;
	if (pm_paused(rules->accounts[class->pool], session->userid))
		return PM_REASON_PAUSED;
	if (slot->declined_start == session->backend_start && now - slot->declined_at < pm_recycle_interval)
		return slot->declined_reason;
	if (pm_retirement->interval_retired >= pm_recycle_limit)
		return PM_REASON_LIMIT;
	if (pace != NULL && pace->last_retired != 0 && now < pace->last_retired + gap)
		return PM_REASON_TURN;
	return PM_REASON_NONE;
}
