/*
 * pauses.c
 *		When scheduled retirement holds its breath: also while the server refuses
 *		logins, which is in refusals.c.
 *
 * What says that retiring would do harm is that clients open far more sessions than
 * they lose: one that throws its whole pool away for one that is gone, say. They are
 * told apart by login role: what others do under the pool's name is not set against
 * them. After a scheduled retirement of one of a role's sessions its connects are
 * watched until its next one (or for the gap, but for LEAST_WATCH to LONGEST_WATCH), and
 * set against REPLACEMENTS for each of its sessions retired (by hand those of the whole
 * pool) and what is normal for it, with room for chance: NOISE standard deviations of a
 * Poisson process; and they may be as many as the pool replaces by itself for their age,
 * of which a worker that is slow has retired few. When they are more in BAD_ANSWERS of
 * the last ANSWERS (so a restart of the application is not enough), the sessions of the
 * role in this pool wait for RECONNECT_PAUSE. On a slow server, or from clients that rest,
 * an answer comes late, to several retirements at once; so what was lost in a watch and
 * not opened again by its end is owed to those that follow, a watch without any connect
 * is no answer, neither a good nor a bad one, and those of an hour ago are forgotten.
 * They wait, too, when the role gets into a storm meanwhile; while it is in a storm
 * anyway they wait for its end.
 *
 * What is normal is learnt where no answer is awaited, and of good ones. An answer
 * that would be bad before it is known says nothing: it may be the connects that
 * there always are, or a herd. So it does not count, and the role's sessions wait
 * while it is learnt, for PM_LEARNING_WINDOWS (storms.c). Who never has many is
 * not kept waiting.
 *
 * The roles are few in one pool. When there are more than PM_MOST_ROLES, the one
 * that has not been judged for the longest time is forgotten; but nobody who
 * pauses or is watched, so that the sessions of others bring no pause to its end.
 * Who finds no place is retired without being judged.
 *
 * The kill switch ends these pauses: what follows begins anew. What is remembered is in
 * shared memory, and outlives the worker. Begin and end are an event and a log line each.
 */
#include "postgres.h"

#include <math.h>

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/roles.h"
#include "base/clock.h"
#include "base/guc.h"
#include "events/events.h"
#include "history/storms.h"
#include "pools/schedule.h"
#include "port/pg_bitutils.h"
#include "retire/pace.h"
#include "retire/pauses.h"
#include "retire/refusals.h"

#define HOUR			3600000 /* ms */
#define RECONNECT_PAUSE	600000	/* ms */
#define REPLACEMENTS	2
#define BAD_ANSWERS		3
#define ANSWERS			6
#define NOISE			4
#define LEAST_WATCH		5000	/* ms */
#define LONGEST_WATCH	60000	/* ms; or the gap, if that is longer */

/* Sessions of the pool that were not retired on schedule, but for a constant. */
static int64
retired_by_hand(int account)
{
	pg_atomic_uint64 *counters = pm_accounts->all[account].counters;

	return (int64) pg_atomic_read_u64(&counters[PM_RETIRED]) - pm_pace_of(account)->scheduled;
}

/* What the watch has seen; between two of them, what came since the last one. */
static uint64
opened(PmJudged *judged)
{
	return pg_atomic_read_u64(&judged->role->connects) - judged->connects_before;
}

/* A retired session that has moved is counted elsewhere, so it may look like fewer. */
static int64
lost(PmJudged *judged, int account)
{
	return judged->lost + Max(retired_by_hand(account) - judged->by_hand_before, 0);
}

static bool
is_of(const PmJudged *judged, Oid role)
{
	return pg_atomic_read_u32(&judged->role->oid) == role;
}

/* Must not be forgotten. */
static bool
is_in_use(const PmJudged *judged)
{
	return judged->paused_until != 0 || judged->learning || judged->role->watched_since != 0;
}

/* Whose connects are counted from now on. */
static void
take_place(PmJudged *judged, Oid role, int64 now)
{
	pg_atomic_write_u32(&judged->role->oid, InvalidOid);
	memset(&judged->paused_until, 0, sizeof(*judged) - offsetof(PmJudged, paused_until));
	memset(&judged->role->normal, 0, sizeof(PmNormal));
	judged->role->watched_since = 0;
	judged->judged_at = judged->role->calm_since = now;
	pg_atomic_write_u32(&judged->role->oid, role);
}

/*
 * The role's place; if it has none, that of who was judged first, of those that may
 * be forgotten. NULL: there is none.
 */
static PmJudged *
judged_of(PmPace *pace, Oid role, int64 now)
{
	PmJudged   *oldest = NULL;

	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		PmJudged   *judged = &pace->judged[i];

		if (is_of(judged, role))
			return judged;
		if (!is_in_use(judged) && (oldest == NULL || judged->judged_at < oldest->judged_at))
			oldest = judged;
	}
	if (oldest != NULL)
		take_place(oldest, role, now);
	return oldest;
}

/* The session is the next one of its pool to be retired, if nothing speaks against it. */
void
pm_pauses_note_next(int account, const PmSession *session)
{
	(void) judged_of(pm_pace_of(account), session->userid, pm_monotonic_ms());
}

/* These have been opened for some that were lost: what is left is owed. */
static void
settle(PmJudged *judged, int64 was_lost, uint64 connects)
{
	judged->owed = Max(judged->owed + was_lost - (int64) connects, 0);
	judged->connects_before += connects;
}

static void
begin_watch(PmJudged *judged, int account, int64 now)
{
	settle(judged, 0, opened(judged));
	judged->role->watched_since = now;
	judged->by_hand_before = retired_by_hand(account);
	judged->lost = 0;
}

static void
end_watch(PmJudged *judged, int64 now)
{
	judged->role->watched_since = 0;
	judged->role->calm_since = Max(judged->role->calm_since, now);
}

static void
begin_pause(PmJudged *judged, int account, int64 now)
{
	const char *name = pm_accounts->all[account].owner.name;

	pm_event(PM_EVENT_RETIREMENT_PAUSED, name, 0,
			 "{\"reason\": \"reconnects\", \"retired\": " INT64_FORMAT ", \"connects\": " UINT64_FORMAT ", \"seconds\": %d}",
			 lost(judged, account), opened(judged), RECONNECT_PAUSE / 1000);
	ereport(LOG,
			(errmsg("pool \"%s\": scheduled retirement pauses for %d seconds: the pool reconnects faster than its sessions are retired",
					name, RECONNECT_PAUSE / 1000)));
	judged->paused_until = now + RECONNECT_PAUSE;
	judged->answers = 0;
	judged->owed = 0;
	judged->learning = false;
	end_watch(judged, now);
}

static void
end_pause(PmJudged *judged, int account)
{
	const char *name = pm_accounts->all[account].owner.name;

	pm_event(PM_EVENT_RETIREMENT_RESUMED, name, 0, "{\"reason\": \"reconnects\"}");
	ereport(LOG, (errmsg("pool \"%s\": scheduled retirement resumes", name)));
	judged->paused_until = 0;
}

/* The answer counts. */
static void
note_answer(PmJudged *judged, bool bad, int64 now)
{
	if (now - judged->judged_at > HOUR)
		judged->answers = 0;
	judged->answers = ((judged->answers << 1) | bad) & ((1 << ANSWERS) - 1);
	judged->judged_at = now;
}

/*
 * More than are opened for what was lost, and what is normal; and more than the pool
 * opens for the age of its sessions, which counts those that were lost, too.
 */
static bool
is_herd(const PmJudged *judged, int account, double connects, double replaced, double seconds)
{
	double		expected = judged->role->normal.rate * seconds;
	double		answer = replaced + expected + NOISE * sqrt(expected);

	return connects > Max(answer, pm_pace_of(account)->own_rate * seconds) + 1;
}

/* The watch is over. */
static void
judge(PmJudged *judged, int account, int64 now)
{
	double		seconds = (now - judged->role->watched_since) / 1000.0;
	uint64		connects = opened(judged);
	int64		was_lost = lost(judged, account);
	double		replaced = REPLACEMENTS * (double) (judged->owed + was_lost);
	bool		bad = is_herd(judged, account, connects, replaced, seconds);

	end_watch(judged, now);
	if (connects > 0 && bad && judged->role->normal.windows < PM_LEARNING_WINDOWS)
		judged->learning = true;
	else if (connects > 0)
	{
		note_answer(judged, bad, now);
		/* while some are owed, who is to say which of these are normal */
		if (!bad && judged->owed == 0)
			pm_storms_learn(&judged->role->normal, Max(connects - replaced, 0) / seconds);
		if (pg_popcount32(judged->answers) >= BAD_ANSWERS)
		{
			begin_pause(judged, account, now);
			return;
		}
	}
	settle(judged, was_lost, connects);
}

/* This session was retired on schedule, and is counted. */
void
pm_pauses_note_retired(int account, const PmSession *session, int64 gap)
{
	PmPace	   *pace = pm_pace_of(account);
	int64		now = pm_monotonic_ms();
	PmJudged   *judged = judged_of(pace, session->userid, now);

	pace->last_retired = now;
	pace->gap = gap;
	pace->scheduled++;
	if (judged == NULL)
		return;
	if (judged->role->watched_since != 0 && now - judged->role->watched_since >= LEAST_WATCH)
		judge(judged, account, now);
	judged->role->calm_since = now + LEAST_WATCH;
	if (judged->paused_until != 0 || judged->learning)
		return;
	if (judged->role->watched_since == 0)
		begin_watch(judged, account, now);
	judged->lost++;
}

/* The kill switch is off: what follows begins anew. */
static void
forget_answers(PmJudged *judged, int account, int64 now)
{
	if (judged->paused_until != 0)
		end_pause(judged, account);
	judged->answers = 0;
	judged->owed = 0;
	judged->learning = false;
	if (judged->role->watched_since != 0)
		end_watch(judged, now);
}

static void
watch_role(PmPace *pace, int i, int account, int64 now)
{
	PmJudged   *judged = &pace->judged[i];

	judged->storm = pm_storms_role_in_one(account, i);
	if (judged->paused_until != 0 && now >= judged->paused_until)
		end_pause(judged, account);
	if (judged->role->normal.windows >= PM_LEARNING_WINDOWS)
		judged->learning = false;
	if (judged->role->watched_since == 0 && !judged->learning)
		return;
	if (judged->storm)
		begin_pause(judged, account, now);
	else if (judged->role->watched_since != 0 && now - judged->role->watched_since > Max(LONGEST_WATCH, pace->gap))
		judge(judged, account, now);
}

/* What sessions that were retired by hand are answered with is not normal either. */
static void
note_by_hand(PmPace *pace, int account, int64 now)
{
	int64		by_hand = retired_by_hand(account);

	for (int i = 0; i < PM_MOST_ROLES && by_hand > pace->by_hand; i++)
		pace->judged[i].role->calm_since = Max(pace->judged[i].role->calm_since, now + LEAST_WATCH);
	pace->by_hand = by_hand;
}

static void
watch_pool(const PmPool *pool, int account, int64 now, bool enabled)
{
	PmPace	   *pace = pm_pace_of(account);

	pace->own_rate = pm_pool_own_rate(pool, pg_atomic_read_u32(&pm_accounts->all[account].connections));
	note_by_hand(pace, account, now);
	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		if (is_of(&pace->judged[i], InvalidOid))
			continue;
		watch_role(pace, i, account, now);
		if (!enabled)
			forget_answers(&pace->judged[i], account, now);
	}
}

/* Called by the worker before it asks. matters: does any pool retire on schedule? */
void
pm_pauses_tick(const PmRules *rules, bool matters)
{
	int64		now = pm_monotonic_ms();

	pm_refusals_tick(now, matters);
	for (int i = 0; i < rules->npools; i++)
		watch_pool(&rules->pools[i], rules->accounts[i], now, pm_recycle_enabled);
}

static bool
is_paused(const PmJudged *judged)
{
	return judged->storm || judged->learning || judged->paused_until != 0;
}

/*
 * Are they to be left alone for the moment, for what the role's clients do in this pool?
 * Anywhere, without a lock: each word is whole, and old in a moment.
 */
bool
pm_paused_for_clients(int account, Oid role)
{
	const PmPace *pace = pm_pace_seen(account);

	for (int i = 0; pace != NULL && i < PM_MOST_ROLES; i++)
	{
		const PmJudged *judged = &pace->judged[i];

		if (is_of(judged, role))
			return is_paused(judged);
	}
	return false;
}

/* Or for a full server. */
bool
pm_paused(int account, Oid role)
{
	return pm_retirement->refusing || pm_paused_for_clients(account, role);
}

/* The same of any role that the pool is judged by, or of all. */
static bool
some_paused(int account)
{
	const PmPace *pace = pm_pace_seen(account);

	if (pm_retirement->refusing)
		return true;
	for (int i = 0; pace != NULL && i < PM_MOST_ROLES; i++)
	{
		if (is_paused(&pace->judged[i]))
			return true;
	}
	return false;
}

/* Are the pool's sessions retired on schedule? Anywhere. */
bool
pm_retires(const PmPool *pool)
{
	return pm_recycle_enabled && pool->recycle_mode == PM_RECYCLE_TERMINATE;
}

/*
 * And does that pause, for any of its roles? What is remembered of roles outlives the end
 * of retirement, and a role may be in a storm then. Anywhere, likewise.
 */
bool
pm_retirement_pauses(int account, const PmPool *pool)
{
	return pm_retires(pool) && some_paused(account);
}
