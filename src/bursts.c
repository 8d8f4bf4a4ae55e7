/*
 * bursts.c
 *		Notices connect storms and bursts of refused logins.
 *
 * Connects are counted by the second, and looked at, at each tick, as the sum of
 * the last WINDOW seconds. What is normal for an account is the mean of its sums,
 * taken once in a WINDOW, in which each one weighs less by the time (an
 * exponential average over about NORMAL_WINDOWS of them, that is an hour). It is a
 * storm when the sum is
 *
 *		at least STORM_LEAST (STORM_UNKNOWN of an application that is not
 *		declared, for LEARNING windows: what is normal is not known before),
 *		more than twice as many as the pool may have connections (a pool that
 *		opens all it has at once, as after a restart of the application, is
 *		none; for what has no ceiling, its peak stands in),
 *		more than STORM_FACTOR times the normal sum, and
 *		more than OWN_FACTOR times what the pool replaces by itself, because its
 *		sessions reach pool_recycle.
 *
 * It is over when the sum has come down to less than half of that. Sums of a storm
 * do not count towards what is normal.
 *
 * Of a burst of refusals the first is told at once, and the whole when
 * BURST_PAUSE has passed without another.
 *
 * The state is the worker's own: one that is started anew begins to learn anew.
 */
#include "postgres.h"

#include "account.h"
#include "bursts.h"
#include "clock.h"
#include "guc.h"
#include "schedule.h"
#include "utils/memutils.h"

#define WINDOW			10		/* s */
#define NORMAL_WINDOWS	360
#define STORM_LEAST		20
#define STORM_UNKNOWN	100
#define LEARNING		6
#define STORM_FACTOR	5
#define OWN_FACTOR		2
#define BURST_PAUSE		10000	/* ms */

/* What the worker knows of one account. */
typedef struct Watch
{
	uint32		incarnation;	/* of the account: it may get another owner */
	char		name[PM_NAME_LEN];
	uint64		connects;		/* at the last tick */
	uint32		seconds[WINDOW];	/* connects in each, by second % WINDOW */
	uint32		sum;			/* of these */
	int64		last_connect;	/* ms, monotonic */
	double		normal;			/* sum that is normal */
	int			windows;		/* that normal is made of */
	bool		storm;
	uint64		storm_connects;
	int64		storm_since;	/* ms, monotonic */

	uint64		refused;		/* at the last tick */
	uint64		burst;			/* refused in this burst; 0: none */
	int64		burst_since;
	int64		last_refused;
} Watch;

static Watch *watches = NULL;	/* one for each account */
static int64 last_second = 0;	/* of the last tick, monotonic */

static uint64
counter(int account, PmCounter which)
{
	return pm_account_counted(account, which);
}

static void
watch_refusals(int account, Watch *watch, int64 now)
{
	uint64		refused = counter(account, PM_REFUSED);
	uint64		new = refused - watch->refused;
	bool		discovered = pm_account_is_application(account);

	watch->refused = refused;
	if (new > 0)
	{
		if (watch->burst == 0)
		{
			watch->burst_since = now;
			pm_event(PM_EVENT_REFUSED, watch->name, discovered, 0, "{\"refused\": " UINT64_FORMAT "}", new);
		}
		watch->burst += new;
		watch->last_refused = now;
	}
	else if (watch->burst > 0 && now - watch->last_refused >= BURST_PAUSE)
	{
		pm_event(PM_EVENT_REFUSED_OVER, watch->name, discovered, 0,
				 "{\"refused\": " UINT64_FORMAT ", \"seconds\": %.1f}",
				 watch->burst, (watch->last_refused - watch->burst_since) / 1000.0);
		watch->burst = 0;
	}
}

/*
 * Connections that the account may open at once, -1: that is not known; and how
 * many a second it replaces by itself.
 */
static int
room_of(const PmRules *rules, int account, double *own_rate)
{
	*own_rate = 0;
	for (int i = 0; i < rules->npools; i++)
	{
		const PmPool *pool = &rules->pools[i];

		if (rules->accounts[i] != account)
			continue;
		*own_rate = pm_pool_own_rate(pool, pg_atomic_read_u32(&pm_shared->accounts[account].connections));
		return Max(pool->ceiling, pool->budget);
	}
	return -1;
}

static double
storm_limit(const PmRules *rules, int account, const Watch *watch)
{
	double		own_rate;
	int			room = room_of(rules, account, &own_rate);
	int			least = STORM_LEAST;

	if (room < 0 && watch->windows < LEARNING)
		least = STORM_UNKNOWN;
	if (room < 0)
		room = PM_PEAK_COUNT(pg_atomic_read_u64(&pm_shared->accounts[account].peak));
	return Max(Max(least, 2.0 * room + 1), Max(STORM_FACTOR * watch->normal, OWN_FACTOR * own_rate * WINDOW));
}

static void
learn(Watch *watch)
{
	watch->windows = Min(watch->windows + 1, NORMAL_WINDOWS);
	watch->normal += (watch->sum - watch->normal) / watch->windows;
}

/* Forgets the seconds that have left the window, up to the present one. */
static void
slide(Watch *watch, int64 from, int64 to)
{
	for (int64 second = Max(from + 1, to - WINDOW + 1); second <= to; second++)
	{
		watch->sum -= watch->seconds[second % WINDOW];
		watch->seconds[second % WINDOW] = 0;
	}
}

/* How many seconds ago the connects in the window began, 1 at least. */
static int
span(const Watch *watch, int64 second)
{
	for (int back = WINDOW - 1; back > 0; back--)
	{
		if (watch->seconds[(second - back) % WINDOW] > 0)
			return back + 1;
	}
	return 1;
}

static void
watch_connects(const PmRules *rules, int account, Watch *watch, int64 now)
{
	uint64		connects = counter(account, PM_CONNECTS);
	uint64		new = connects - watch->connects;
	int64		second = now / 1000;
	double		limit = storm_limit(rules, account, watch);
	bool		discovered = pm_account_is_application(account);

	watch->connects = connects;
	watch->seconds[second % WINDOW] += new;
	watch->sum += new;
	if (new > 0)
		watch->last_connect = now;
	if (watch->storm)
		watch->storm_connects += new;
	if (!watch->storm && watch->sum >= limit)
	{
		int			seconds = span(watch, second);

		watch->storm = true;
		watch->storm_connects = watch->sum;
		watch->storm_since = now - (seconds - 1) * 1000;
		pm_event(PM_EVENT_STORM, watch->name, discovered, 0,
				 "{\"connects\": %u, \"seconds\": %d, \"connects_per_second\": %.1f, \"normal\": %.3f}",
				 watch->sum, seconds, (double) watch->sum / seconds, watch->normal / WINDOW);
	}
	else if (watch->storm && watch->sum < limit / 2)
	{
		watch->storm = false;
		pm_event(PM_EVENT_STORM_OVER, watch->name, discovered, 0,
				 "{\"connects\": " UINT64_FORMAT ", \"seconds\": %.0f}",
				 watch->storm_connects, Max(watch->last_connect - watch->storm_since, 0) / 1000.0);
	}
}

/* A new owner of the account begins without a past. */
static void
prime(int account, Watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	strlcpy(watch->name, pm_shared->accounts[account].name, PM_NAME_LEN);
	watch->incarnation = pm_shared->accounts[account].incarnation;
}

/* Anybody's, also those of an application that had to make room since. */
static void
watch_all_refusals(int64 now, bool first)
{
	static uint64 before = 0;
	uint64		refused = counter(pm_server_account(), PM_REFUSED);

	if (!first && refused != before)
		pm_shared->last_refused = now;
	before = refused;
}

/* Called by the worker at each tick. Allocates once. */
void
pm_bursts_tick(const PmRules *rules)
{
	int64		now = pm_monotonic_ms();
	int64		second = now / 1000;
	bool		first = watches == NULL;

	if (first)
	{
		watches = MemoryContextAllocZero(TopMemoryContext, sizeof(Watch) * pm_num_accounts());
		last_second = second;
	}
	watch_all_refusals(now, first);
	for (int i = 0; i < pm_server_account(); i++)
	{
		Watch	   *watch = &watches[i];

		if (!pm_account_ready(i) || i == pm_undeclared_account())
			continue;
		if (watch->incarnation != pm_shared->accounts[i].incarnation)
		{
			prime(i, watch);
			/* what a new worker finds has happened before it */
			if (first)
			{
				watch->connects = counter(i, PM_CONNECTS);
				watch->refused = counter(i, PM_REFUSED);
			}
		}
		/* a window has gone by: what it had was normal, if it was no storm */
		if (second / WINDOW != last_second / WINDOW && !watch->storm)
			learn(watch);
		slide(watch, last_second, second);
		watch_refusals(i, watch, now);
		watch_connects(rules, i, watch, now);
	}
	last_second = second;
}

bool
pm_bursts_in_storm(int account)
{
	return watches != NULL && watches[account].storm;
}

/* Connects a second that are normal; false: that is not known yet. */
bool
pm_bursts_normal(int account, double *normal)
{
	if (watches == NULL || watches[account].windows < LEARNING ||
		watches[account].incarnation != pm_shared->accounts[account].incarnation)
		return false;
	*normal = watches[account].normal / WINDOW;
	return true;
}
