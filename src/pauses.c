/*
 * pauses.c
 *		When scheduled retirement holds its breath.
 *
 * Two signs say that retiring would do harm:
 *
 *	refusals	the server has refused a login for want of a slot within
 *				REFUSAL_PAUSE. A client whose session is retired might not get
 *				another one. All pools wait.
 *	reconnects	a pool has opened far more sessions than were retired: a client
 *				that throws its whole pool away for one that is gone, say. Within
 *				WINDOW from a retirement on, connects exceed REPLACEMENTS for each
 *				one retired, CHURN times what the pool opens by itself (what is
 *				normal for it, or pool_recycle asks for), and SLACK. That pool
 *				waits for RECONNECT_PAUSE. So does a pool that is in a storm.
 *
 * The state is the worker's own. It is looked at only while something waits to be
 * retired; beginning and end are an event and a log line each.
 */
#include "postgres.h"

#include "account.h"
#include "bursts.h"
#include "clock.h"
#include "pauses.h"
#include "schedule.h"
#include "utils/memutils.h"

#define REFUSAL_PAUSE	60000	/* ms */
#define RECONNECT_PAUSE	600000	/* ms */
#define WINDOW			60000	/* ms */
#define REPLACEMENTS	3
#define CHURN			2
#define SLACK			5

typedef struct Pace
{
	char		name[PM_NAME_LEN];	/* the account may get another owner */
	int64		since;			/* ms: the window's begin; 0: none */
	uint64		connects;		/* then */
	int			retired;		/* in it */
	int64		paused_until;	/* ms; 0: not paused */
} Pace;

static Pace *paces = NULL;		/* one for each account */
static bool refusing = false;

static Pace *
pace_of(int account)
{
	const char *name = pm_shared->accounts[account].name;
	Pace	   *pace;

	if (paces == NULL)
		paces = MemoryContextAllocZero(TopMemoryContext, sizeof(Pace) * pm_num_accounts());
	pace = &paces[account];
	if (strcmp(pace->name, name) != 0)
	{
		memset(pace, 0, sizeof(*pace));
		strlcpy(pace->name, name, PM_NAME_LEN);
	}
	return pace;
}

static uint64
connects_of(int account)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].counters[PM_CONNECTS]);
}

/* A session of the account was retired on schedule. */
void
pm_pauses_note_retired(int account)
{
	Pace	   *pace = pace_of(account);
	int64		now = pm_monotonic_ms();

	if (pace->since == 0 || now - pace->since > WINDOW)
	{
		pace->since = now;
		pace->connects = connects_of(account);
		pace->retired = 0;
	}
	pace->retired++;
}

/* Sessions a second that the pool opens when nobody is retired. */
static double
own_rate(const PmPool *pool, int account)
{
	return Max(pm_bursts_normal(account), pm_pool_own_rate(pool));
}

static bool
reconnects_too_fast(const PmPool *pool, int account, const Pace *pace, int64 now)
{
	double		seconds = (now - pace->since) / 1000.0;

	if (pm_bursts_in_storm(account))
		return true;
	if (pace->since == 0 || now - pace->since > WINDOW)
		return false;
	return connects_of(account) - pace->connects >
		REPLACEMENTS * pace->retired + CHURN * own_rate(pool, account) * seconds + SLACK;
}

static bool
server_refuses(int64 now)
{
	int64		last = pm_bursts_last_refused();
	bool		refuses = last != 0 && now - last < REFUSAL_PAUSE;

	if (refuses && !refusing)
	{
		pm_event(PM_EVENT_RETIREMENT_PAUSED, NULL, false, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor pauses scheduled retirement: the server refuses connections")));
	}
	else if (refusing && !refuses)
	{
		pm_event(PM_EVENT_RETIREMENT_RESUMED, NULL, false, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor resumes scheduled retirement: the server has not refused a connection for %d seconds",
							 REFUSAL_PAUSE / 1000)));
	}
	refusing = refuses;
	return refuses;
}

static bool
pool_pauses(const PmPool *pool, int account, int64 now)
{
	Pace	   *pace = pace_of(account);

	if (pace->paused_until != 0 && now >= pace->paused_until)
	{
		pace->paused_until = 0;
		pace->since = 0;
		pm_event(PM_EVENT_RETIREMENT_RESUMED, pace->name, false, 0, "{\"reason\": \"reconnects\"}");
		ereport(LOG, (errmsg("pool \"%s\": scheduled retirement resumes", pace->name)));
	}
	if (pace->paused_until == 0 && reconnects_too_fast(pool, account, pace, now))
	{
		uint64		connects = connects_of(account) - pace->connects;

		pace->paused_until = now + RECONNECT_PAUSE;
		pm_event(PM_EVENT_RETIREMENT_PAUSED, pace->name, false, 0,
				 "{\"reason\": \"reconnects\", \"retired\": %d, \"connects\": " UINT64_FORMAT ", \"seconds\": %d}",
				 pace->retired, pace->since ? connects : 0, RECONNECT_PAUSE / 1000);
		ereport(LOG, (errmsg("pool \"%s\": scheduled retirement pauses for %d seconds: the pool reconnects faster than its sessions are retired",
							 pace->name, RECONNECT_PAUSE / 1000)));
	}
	return pace->paused_until != 0;
}

/* Is the pool to be left alone for the moment? Says when that begins and ends. */
bool
pm_paused(const PmRules *rules, int pool)
{
	int64		now = pm_monotonic_ms();

	return server_refuses(now) || pool_pauses(&rules->pools[pool], rules->accounts[pool], now);
}
