/*
 * bursts.c
 *		Notices connect storms and bursts of refused logins.
 *
 * Connects are counted in windows of WINDOW. What is normal for an account is
 * the mean of its windows, in which each one weighs less by the time (an
 * exponential average over about NORMAL_WINDOWS of them, that is an hour). A
 * window is a storm when it has
 *
 *		at least STORM_LEAST connects (STORM_UNKNOWN of an application that is not
 *		declared, for LEARNING windows: what is normal is not known before),
 *		more than twice as many as the pool may have connections (a pool that
 *		opens all it has at once, as after a restart of the application, is
 *		none; for what has no ceiling, its peak stands in), and
 *		more than STORM_FACTOR times the normal number.
 *
 * It is over with the first window that has less than half of that. Windows of
 * a storm do not count towards what is normal.
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
#include "utils/memutils.h"

#define WINDOW			10000	/* ms */
#define NORMAL_WINDOWS	360
#define STORM_LEAST		20
#define STORM_UNKNOWN	100
#define LEARNING		6
#define STORM_FACTOR	5
#define BURST_PAUSE		10000	/* ms */

/* What the worker knows of one account. */
typedef struct Watch
{
	uint32		incarnation;	/* of the account: it may get another owner */
	char		name[PM_NAME_LEN];
	uint64		connects;		/* when the window began */
	double		normal;			/* connects in a window */
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
static int64 window_begin = 0;	/* ms, monotonic */

static uint64
counter(int account, PmCounter which)
{
	return pg_atomic_read_u64(&pm_shared->accounts[account].counters[which]);
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

/* Connections that the account may open at once; -1: that is not known. */
static int
room_of(const PmRules *rules, int account)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->accounts[i] == account)
			return Max(rules->pools[i].ceiling, rules->pools[i].budget);
	}
	return -1;
}

static double
storm_limit(const PmRules *rules, int account, const Watch *watch)
{
	int			room = room_of(rules, account);
	int			least = STORM_LEAST;

	if (room < 0 && watch->windows < LEARNING)
		least = STORM_UNKNOWN;
	if (room < 0)
		room = PM_PEAK_COUNT(pg_atomic_read_u64(&pm_shared->accounts[account].peak));
	return Max(Max(least, 2.0 * room + 1), STORM_FACTOR * watch->normal);
}

static void
learn(Watch *watch, double connects)
{
	watch->windows = Min(watch->windows + 1, NORMAL_WINDOWS);
	watch->normal += (connects - watch->normal) / watch->windows;
}

/* length is how long the window really was, in ms: a tick may come late. */
static void
end_window(const PmRules *rules, int account, Watch *watch, int64 now, int64 length)
{
	uint64		connects = counter(account, PM_CONNECTS);
	uint64		new = connects - watch->connects;
	double		limit = storm_limit(rules, account, watch) * length / WINDOW;
	bool		discovered = pm_account_is_application(account);

	watch->connects = connects;
	if (!watch->storm && new >= limit)
	{
		watch->storm = true;
		watch->storm_connects = new;
		watch->storm_since = now - length;
		pm_event(PM_EVENT_STORM, watch->name, discovered, 0,
				 "{\"connects_per_second\": %.1f, \"normal\": %.3f}",
				 new / (length / 1000.0), watch->normal / (WINDOW / 1000.0));
	}
	else if (watch->storm && new >= limit / 2)
		watch->storm_connects += new;
	else
	{
		if (watch->storm)
			pm_event(PM_EVENT_STORM_OVER, watch->name, discovered, 0,
					 "{\"connects\": " UINT64_FORMAT ", \"seconds\": %.0f}",
					 watch->storm_connects, (now - length - watch->storm_since) / 1000.0);
		watch->storm = false;
		learn(watch, (double) new * WINDOW / length);
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

/* Called by the worker at each tick. Allocates once. */
void
pm_bursts_tick(const PmRules *rules)
{
	int64		now = pm_monotonic_ms();
	bool		first = watches == NULL;
	int64		length;

	if (first)
	{
		watches = MemoryContextAllocZero(TopMemoryContext, sizeof(Watch) * pm_num_accounts());
		window_begin = now;
	}
	length = now - window_begin;
	if (length >= WINDOW)
		window_begin = now;

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
		watch_refusals(i, watch, now);
		if (length >= WINDOW)
			end_window(rules, i, watch, now, length);
	}
}
