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
 *				its whole pool away for one that is gone, say. From a scheduled
 *				retirement on, for up to EVIDENCE of them, its connects are set
 *				against REPLACEMENTS for each session retired (by hand too), what it
 *				opens by itself (what was normal when that began, or pool_recycle
 *				asks for), and once as many as the pool may have, for a restart of
 *				the application. The evidence is void when no session was retired
 *				for LEAST_WATCH and WATCHED_GAPS gaps. Where connects are more, the
 *				pool waits for RECONNECT_PAUSE. So does a pool that gets into a
 *				storm meanwhile; one that is in a storm anyway waits for its end.
 *
 * What is remembered is in shared memory, and outlives the worker. Begin and end
 * are an event and a log line each.
 */
#include "postgres.h"

#include "account.h"
#include "bursts.h"
#include "clock.h"
#include "pauses.h"
#include "schedule.h"

#define REFUSAL_PAUSE	60000	/* ms */
#define RECONNECT_PAUSE	600000	/* ms */
#define REPLACEMENTS	2
#define EVIDENCE		30		/* retirements */
#define LEAST_SLACK		5
#define LEAST_WATCH		60000	/* ms */
#define WATCHED_GAPS	3

static uint64
counter(int account, PmCounter which)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].counters[which]);
}

/* A session of the account was retired on schedule, and is counted. */
void
pm_pauses_note_retired(int account)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;

	pace->last_retired = pm_monotonic_ms();
	if (pace->watched_since != 0)
		return;
	pace->watched_since = pace->last_retired;
	pace->connects = counter(account, PM_CONNECTS);
	pace->retired = counter(account, PM_RETIRED) - 1;
	pace->normal = pm_bursts_normal(account);
}

static bool
reconnects_too_fast(const PmPool *pool, int account, const PmPace *pace, int64 now)
{
	uint32		open = pg_atomic_read_u32(&pm_shared->accounts[account].connections);
	double		own = Max(pace->normal, pm_pool_own_rate(pool, open)) * (now - pace->watched_since) / 1000.0;
	int64		slack = Max(LEAST_SLACK, pool->ceiling > 0 ? pool->ceiling : (int64) open);

	return counter(account, PM_CONNECTS) - pace->connects >
		REPLACEMENTS * (counter(account, PM_RETIRED) - pace->retired) + own + slack;
}

/* What the pool does so long after its last retirement is no answer to it. */
static bool
is_void(const PmPool *pool, int account, const PmPace *pace, int64 now)
{
	uint32		open = pg_atomic_read_u32(&pm_shared->accounts[account].connections);
	int64		gap = pool->pool_recycle > 0 ? pm_pool_gap(pool, pool->pool_recycle, open) / 1000 : 0;

	return pool->recycle_mode != PM_RECYCLE_TERMINATE ||
		now - pace->last_retired > Max(LEAST_WATCH, WATCHED_GAPS * gap);
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
}

static void
end_pause(PmPace *pace, int account)
{
	const char *name = pm_shared->accounts[account].name;

	pm_event(PM_EVENT_RETIREMENT_RESUMED, name, false, 0, "{\"reason\": \"reconnects\"}");
	ereport(LOG, (errmsg("pool \"%s\": scheduled retirement resumes", name)));
	pace->paused_until = 0;
}

static void
watch_pool(const PmPool *pool, int account, int64 now)
{
	PmPace	   *pace = &pm_shared->accounts[account].pace;

	if (pace->paused_until != 0 && now >= pace->paused_until)
		end_pause(pace, account);
	if (pace->watched_since == 0)
		return;
	if (is_void(pool, account, pace, now))
		pace->watched_since = 0;
	else if (pm_bursts_in_storm(account) || reconnects_too_fast(pool, account, pace, now))
		begin_pause(pace, account, now);
	else if (counter(account, PM_RETIRED) - pace->retired >= EVIDENCE)
		pace->watched_since = 0;
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
		watch_pool(&rules->pools[i], rules->accounts[i], now);
}

/* Is the pool to be left alone for the moment? */
bool
pm_paused(int account)
{
	return pm_shared->refusing || pm_bursts_in_storm(account) ||
		pm_shared->accounts[account].pace.paused_until != 0;
}
