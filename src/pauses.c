/*
 * pauses.c
 *		When scheduled retirement holds its breath.
 *
 * Two signs say that retiring would do harm:
 *
 *	refusals	the server has refused a login for want of a slot within
 *				REFUSAL_PAUSE. A client whose session is retired might not get
 *				another one. All pools wait.
 *	reconnects	a pool opens far more sessions than it loses: a client that throws
 *				its whole pool away for one that is gone, say. After a scheduled
 *				retirement its connects are watched until the next one (or for the
 *				gap, but for LEAST_WATCH to LONGEST_WATCH), and set against
 *				REPLACEMENTS for each session retired (by hand too) and what is
 *				normal for the pool, with room for chance: NOISE standard deviations
 *				of a Poisson process. When they are more BAD_ANSWERS times in a row
 *				(so a restart of the application is not enough), the pool waits for
 *				RECONNECT_PAUSE. So does a pool that gets into a storm meanwhile; one
 *				that is in a storm anyway waits for its end. While it is not known
 *				what is normal (bursts.c), only storms count.
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

#define REFUSAL_PAUSE	60000	/* ms */
#define RECONNECT_PAUSE	600000	/* ms */
#define REPLACEMENTS	2
#define BAD_ANSWERS		3
#define NOISE			4
#define LEAST_WATCH		5000	/* ms */
#define LONGEST_WATCH	60000	/* ms; or the gap, if that is longer */

static uint64
counter(int account, PmCounter which)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].counters[which]);
}

/* The retirement that has just happened is counted, and belongs to the watch. */
static void
begin_watch(PmPace *pace, int account)
{
	/* a herd under way must not become what is normal */
	if (pace->bad_answers == 0 && !pm_bursts_normal(account, &pace->normal))
		pace->normal = -1;
	pace->watched_since = pace->last_retired;
	pace->connects = counter(account, PM_CONNECTS);
	pace->retired = counter(account, PM_RETIRED) - 1;
}

/* Were there too many connects for so many retirements? */
static bool
is_bad_answer(const PmPace *pace, int account, uint64 retired, int64 now)
{
	double		expected = pace->normal * (now - pace->watched_since) / 1000.0;

	return pace->normal >= 0 && counter(account, PM_CONNECTS) - pace->connects >
		REPLACEMENTS * retired + expected + NOISE * sqrt(expected) + 1;
}

static void
begin_pause(PmPace *pace, int account, int64 now)
{
	const char *name = pm_shared->accounts[account].name;

	pm_event(PM_EVENT_RETIREMENT_PAUSED, name, false, 0,
			 "{\"reason\": \"reconnects\", \"retired\": " UINT64_FORMAT ", \"connects\": " UINT64_FORMAT ", \"seconds\": %d}",
			 counter(account, PM_RETIRED) - pace->retired, counter(account, PM_CONNECTS) - pace->connects,
			 RECONNECT_PAUSE / 1000);
	ereport(LOG,
			(errmsg("pool \"%s\": scheduled retirement pauses for %d seconds: the pool reconnects faster than its sessions are retired",
					name, RECONNECT_PAUSE / 1000)));
	pace->paused_until = now + RECONNECT_PAUSE;
	pace->watched_since = 0;
	pace->bad_answers = 0;
}

static void
end_pause(PmPace *pace, int account)
{
	const char *name = pm_shared->accounts[account].name;

	pm_event(PM_EVENT_RETIREMENT_RESUMED, name, false, 0, "{\"reason\": \"reconnects\"}");
	ereport(LOG, (errmsg("pool \"%s\": scheduled retirement resumes", name)));
	pace->paused_until = 0;
}

/* The watch is over, after so many retirements. */
static void
judge(PmPace *pace, int account, uint64 retired, int64 now)
{
	pace->bad_answers = is_bad_answer(pace, account, retired, now) ? pace->bad_answers + 1 : 0;
	if (pace->bad_answers >= BAD_ANSWERS)
		begin_pause(pace, account, now);
	pace->watched_since = 0;
}

/* A session of the account was retired on schedule, and is counted. */
void
pm_pauses_note_retired(int account, int64 gap)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;
	int64		now = pm_monotonic_ms();

	if (pace->watched_since != 0 && now - pace->watched_since >= LEAST_WATCH)
		judge(pace, account, counter(account, PM_RETIRED) - 1 - pace->retired, now);
	pace->last_retired = now;
	pace->gap = gap;
	if (pace->watched_since == 0 && pace->paused_until == 0)
		begin_watch(pace, account);
}

static void
watch_pool(int account, int64 now, bool enabled)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;

	pace->storm = pm_bursts_in_storm(account);
	if (pace->paused_until != 0 && (now >= pace->paused_until || !enabled))
		end_pause(pace, account);
	if (!enabled)
		pace->watched_since = 0;
	if (pace->watched_since == 0)
		return;
	if (pace->storm)
		begin_pause(pace, account, now);
	else if (now - pace->watched_since > Max(LONGEST_WATCH, pace->gap))
		judge(pace, account, counter(account, PM_RETIRED) - pace->retired, now);
}

static void
watch_server(int64 now, bool matters)
{
	int64		last = pm_shared->last_refused;
	bool		refuses = matters && last != 0 && now - last < REFUSAL_PAUSE;

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

/* Called by the worker before it asks. matters: does any pool retire on schedule? */
void
pm_pauses_tick(const PmRules *rules, bool matters)
{
	int64		now = pm_monotonic_ms();

	watch_server(now, matters);
	for (int i = 0; i < rules->npools; i++)
		watch_pool(rules->accounts[i], now, pm_recycle_enabled);
}

/* Is the pool to be left alone for the moment? Anywhere, without a lock. */
bool
pm_paused(int account)
{
	const PmPace *pace = &pm_shared->accounts[account].pace;

	return pm_shared->refusing || pace->storm || pace->paused_until != 0;
}
