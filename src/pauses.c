/*
 * pauses.c
 *		When scheduled retirement holds its breath.
 *
 * Two signs say that retiring would do harm:
 *
 *	refusals	the server has refused a login for want of a slot. A client whose
 *				session is retired might not get another one. All pools wait,
 *				until REFUSAL_PAUSE has passed without. Who is at the password
 *				prompt holds a slot too, and anybody can be; so it counts only
 *				while the sessions that have begun take nearly all that is usable
 *				(account.c). Where they take half of it, the rest may be logins
 *				that hang: then it takes PM_HALF_SAMPLES seconds with refusals
 *				within REFUSAL_PAUSE, and such pauses end when they have taken
 *				MOST_HALF_PAUSE of an hour. Where they take less, it says nothing.
 *	reconnects	a client opens far more sessions than it loses: one that throws
 *				its whole pool away for one that is gone, say. A client is a login
 *				role at an address: what others do under the pool's name is not
 *				set against it. After a scheduled retirement of one of its
 *				sessions its connects are watched until the pool's next one (or for
 *				the gap, but for LEAST_WATCH to LONGEST_WATCH), and set against
 *				REPLACEMENTS for each of its sessions retired (by hand those of
 *				the whole pool) and what is normal for it, with room for chance:
 *				NOISE standard deviations of a Poisson process. When they are more
 *				in BAD_ANSWERS of the last ANSWERS (so a restart of the application
 *				is not enough), the sessions of its role in this pool wait for
 *				RECONNECT_PAUSE. On a slow server an answer comes late, to several
 *				retirements at once; so a watch without any connect is no answer,
 *				neither a good nor a bad one, and those of an hour ago are
 *				forgotten. They wait, too, when it gets into a storm meanwhile;
 *				while it is in a storm anyway they wait for its end. What is normal
 *				is learnt where no answer is awaited, and of good ones; while it is
 *				not known, only storms count.
 *
 * The roles are few in one pool. When there are more than PM_MOST_JUDGED, the one
 * that has not been judged for the longest time is forgotten. In a storm of the
 * pool a client that was not watched before is in doubt for DOUBT: it may be its
 * own, or not.
 *
 * The kill switch ends the pauses of the second kind: what follows begins anew.
 * What is remembered is in shared memory, and outlives the worker. Begin and end
 * are an event and a log line each.
 */
#include "postgres.h"

#include <math.h>

#include "account.h"
#include "bursts.h"
#include "clock.h"
#include "guc.h"
#include "pauses.h"
#include "port/pg_bitutils.h"

#define REFUSAL_PAUSE	60000	/* ms */
#define HALF_SAMPLE		1000	/* ms */
#define MOST_HALF_PAUSE	600000	/* ms */
#define HOUR			3600000 /* ms */
#define LONGEST_STEP	2000	/* ms; a worker that stood still did not pause */
#define RECONNECT_PAUSE	600000	/* ms */
#define REPLACEMENTS	2
#define BAD_ANSWERS		3
#define ANSWERS			6
#define NOISE			4
#define LEAST_WATCH		5000	/* ms */
#define LONGEST_WATCH	60000	/* ms; or the gap, if that is longer */
#define DOUBT			10000	/* ms; the window of bursts.c */
#define DOUBT_AGAIN		60000	/* ms */

/* ---- refusals ---- */

/* Were there enough of them, while half of the slots were sessions? */
static bool
half_full(PmRefusals *refusals, int64 now)
{
	int64		oldest = refusals->half_at[refusals->half_next];

	if (now - refusals->hour_begin >= HOUR)
	{
		refusals->hour_begin = now;
		refusals->hour_paused = 0;
	}
	return oldest != 0 && now - oldest < REFUSAL_PAUSE && refusals->hour_paused < MOST_HALF_PAUSE;
}

/* Notes what is new. */
static void
look_at_refusals(PmRefusals *refusals, int64 now)
{
	uint32		full = pg_atomic_read_u32(&pm_shared->refused_full);
	uint32		half = pg_atomic_read_u32(&pm_shared->refused_half);
	int			latest = (refusals->half_next + PM_HALF_SAMPLES - 1) % PM_HALF_SAMPLES;

	if (full != refusals->full)
		refusals->last_full = now;
	if (half != refusals->half && now - refusals->half_at[latest] >= HALF_SAMPLE)
	{
		refusals->half_at[refusals->half_next] = now;
		refusals->half_next = (refusals->half_next + 1) % PM_HALF_SAMPLES;
	}
	refusals->full = full;
	refusals->half = half;
}

/* Would a client that loses a session not get another one? */
static bool
server_is_full(int64 now)
{
	PmRefusals *refusals = &pm_shared->refusals;
	bool		full;
	bool		half;

	look_at_refusals(refusals, now);
	full = refusals->last_full != 0 && now - refusals->last_full < REFUSAL_PAUSE;
	half = half_full(refusals, now);
	if (half && !full)
		refusals->hour_paused += Min(now - refusals->looked_at, LONGEST_STEP);
	refusals->looked_at = now;
	return full || half;
}

static void
watch_server(int64 now, bool matters)
{
	bool		refuses = server_is_full(now) && matters;

	if (refuses && !pm_shared->refusing)
	{
		pm_event(PM_EVENT_RETIREMENT_PAUSED, NULL, false, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor pauses scheduled retirement: the server refuses connections")));
	}
	else if (pm_shared->refusing && !refuses)
	{
		pm_event(PM_EVENT_RETIREMENT_RESUMED, NULL, false, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor resumes scheduled retirement: the server has not refused a connection for %d seconds",
							 REFUSAL_PAUSE / 1000)));
	}
	pm_shared->refusing = refuses;
}

/* ---- reconnects ---- */

static uint64
retired(int account)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].counters[PM_RETIRED]);
}

/* Of the watched client. */
static uint64
connects(int account)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].watched_connects);
}

static PmJudged *
find_judged(PmPace *pace, Oid role)
{
	for (int i = 0; i < PM_MOST_JUDGED; i++)
	{
		if (pace->judged[i].role == role)
			return &pace->judged[i];
	}
	return NULL;
}

/* The watched role's place; if it has none, that of who was judged first. */
static PmJudged *
watched_judged(PmPace *pace)
{
	PmJudged   *judged = find_judged(pace, pace->watched_role);

	if (judged != NULL)
		return judged;
	judged = &pace->judged[0];
	for (int i = 1; i < PM_MOST_JUDGED; i++)
	{
		if (pace->judged[i].judged_at < judged->judged_at)
			judged = &pace->judged[i];
	}
	memset(judged, 0, sizeof(*judged));
	judged->role = pace->watched_role;
	judged->judged_at = pm_monotonic_ms();
	judged->normal = -1;
	return judged;
}

static void
update_storm(PmPace *pace, int account, int64 now)
{
	bool		doubt = pace->doubt_since != 0 && now - pace->doubt_since < DOUBT;

	pace->storm = doubt ? pm_bursts_in_storm(account) : pm_bursts_own_storm(account);
}

/* From now on it is this session's client whose connects are counted. */
static void
watch_client(PmPace *pace, int account, const PmSession *session, int64 now)
{
	pg_atomic_uint64 *watched = &pm_shared->accounts[account].watched;
	uint64		key = pm_client_key(session->userid, &session->client_addr);

	if (pg_atomic_read_u64(watched) == key)
		return;
	pace->watched_role = session->userid;
	pg_atomic_write_u64(watched, key);
	if (pm_bursts_in_storm(account) && (pace->doubt_since == 0 || now - pace->doubt_since >= DOUBT_AGAIN))
		pace->doubt_since = now;
	update_storm(pace, account, now);
}

/* The session is the next one of its pool to be retired, if nothing speaks against it. */
void
pm_pauses_note_next(int account, const PmSession *session)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;

	if (pace->watched_since == 0)
		watch_client(pace, account, session, pm_monotonic_ms());
}

/*
 * What is normal is taken anew only where no answer was bad: a herd must not become
 * it. That of the whole pool, which is more, stands in as long as there is nothing
 * else.
 */
static void
update_normal(PmJudged *judged, int account)
{
	if (judged->answers == 0 && !pm_bursts_own_normal(account, &judged->normal) && judged->normal < 0)
		(void) pm_bursts_normal(account, &judged->normal);
}

/* The retirement that has just happened is counted, and belongs to the watch. */
static void
begin_watch(PmPace *pace, int account)
{
	PmJudged   *judged = watched_judged(pace);

	if (judged->paused_until != 0)
		return;
	update_normal(judged, account);
	pace->watched_since = pace->last_retired;
	pace->connects = connects(account);
	pace->retired = retired(account) - 1;
}

static void
begin_pause(PmPace *pace, PmJudged *judged, int account, int64 now)
{
	const char *name = pm_shared->accounts[account].name;

	pm_event(PM_EVENT_RETIREMENT_PAUSED, name, false, 0,
			 "{\"reason\": \"reconnects\", \"retired\": " UINT64_FORMAT ", \"connects\": " UINT64_FORMAT ", \"seconds\": %d}",
			 retired(account) - pace->retired, connects(account) - pace->connects, RECONNECT_PAUSE / 1000);
	ereport(LOG,
			(errmsg("pool \"%s\": scheduled retirement pauses for %d seconds: the pool reconnects faster than its sessions are retired",
					name, RECONNECT_PAUSE / 1000)));
	judged->paused_until = now + RECONNECT_PAUSE;
	judged->answers = 0;
	pace->watched_since = 0;
}

static void
end_pause(PmJudged *judged, int account)
{
	const char *name = pm_shared->accounts[account].name;

	pm_event(PM_EVENT_RETIREMENT_RESUMED, name, false, 0, "{\"reason\": \"reconnects\"}");
	ereport(LOG, (errmsg("pool \"%s\": scheduled retirement resumes", name)));
	judged->paused_until = 0;
}

/* The watch is over, after so many retirements of the client. */
static void
judge(PmPace *pace, int account, uint64 lost, int64 now)
{
	PmJudged   *judged = watched_judged(pace);
	double		seconds = (now - pace->watched_since) / 1000.0;
	double		opened = connects(account) - pace->connects;
	double		expected = judged->normal * seconds;
	bool		bad = judged->normal >= 0 && opened > REPLACEMENTS * lost + expected + NOISE * sqrt(expected) + 1;

	pace->watched_since = 0;
	if (opened == 0)
		return;
	if (now - judged->judged_at > HOUR)
		judged->answers = 0;
	judged->answers = ((judged->answers << 1) | bad) & ((1 << ANSWERS) - 1);
	judged->judged_at = now;
	if (!bad && judged->normal >= 0)
		pm_bursts_learn(account, Max(opened - REPLACEMENTS * (double) lost, 0) / seconds);
	if (pg_popcount32(judged->answers) >= BAD_ANSWERS)
		begin_pause(pace, judged, account, now);
}

/* This session was retired on schedule, and is counted. */
void
pm_pauses_note_retired(int account, const PmSession *session, int64 gap)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;
	int64		now = pm_monotonic_ms();

	if (pace->watched_since != 0 && now - pace->watched_since >= LEAST_WATCH)
		judge(pace, account, retired(account) - 1 - pace->retired, now);
	pace->last_retired = now;
	pace->gap = gap;
	if (pace->watched_since == 0)
	{
		watch_client(pace, account, session, now);
		begin_watch(pace, account);
	}
	else if (pm_client_key(session->userid, &session->client_addr) !=
			 pg_atomic_read_u64(&pm_shared->accounts[account].watched))
		pace->retired++;		/* not the watched client's */
}

static void
forget_answers(PmPace *pace)
{
	pace->watched_since = 0;
	for (int i = 0; i < PM_MOST_JUDGED; i++)
		pace->judged[i].answers = 0;
}

static void
watch_pool(int account, int64 now, bool enabled)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;

	update_storm(pace, account, now);
	for (int i = 0; i < PM_MOST_JUDGED; i++)
	{
		int64		until = pace->judged[i].paused_until;

		if (until != 0 && (now >= until || !enabled))
			end_pause(&pace->judged[i], account);
	}
	if (!enabled)
		forget_answers(pace);
	if (pace->watched_since == 0)
		return;
	if (pm_bursts_own_storm(account))
		begin_pause(pace, watched_judged(pace), account, now);
	else if (now - pace->watched_since > Max(LONGEST_WATCH, pace->gap))
		judge(pace, account, retired(account) - pace->retired, now);
}

/* Called by the worker before it asks. matters: does any pool retire on schedule? */
void
pm_pauses_tick(const PmRules *rules, bool matters)
{
	int64		now = pm_monotonic_ms();

	watch_server(now, matters);
	for (int i = 0; i < rules->npools; i++)
		watch_pool(rules->accounts[i], now, pm_recycle_enabled);
}

/*
 * Are the role's sessions in the pool to be left alone for the moment? Anywhere,
 * without a lock: each word is whole, and old in a moment.
 */
bool
pm_paused(int account, Oid role)
{
	const PmPace *pace = &pm_shared->accounts[account].pace;

	if (pm_shared->refusing || (pace->storm && pace->watched_role == role))
		return true;
	for (int i = 0; i < PM_MOST_JUDGED; i++)
	{
		if (pace->judged[i].role == role && pace->judged[i].paused_until != 0)
			return true;
	}
	return false;
}
