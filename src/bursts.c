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
 * In each account one client (a login role at an address) is watched for pauses.c,
 * which chooses it: its own connects, and what is normal for it, by the same means.
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
#define OWN_WINDOWS		60		/* as long as a pause for reconnects: what is
								 * normal by then is known after it */
#define STORM_LEAST		20
#define STORM_UNKNOWN	100
#define LEARNING		6
#define STORM_FACTOR	5
#define OWN_FACTOR		2
#define BURST_PAUSE		10000	/* ms */

/* Connects of the last seconds, and what is normal. */
typedef struct Flow
{
	uint64		connects;		/* at the last tick */
	uint32		seconds[WINDOW];	/* connects in each, by second % WINDOW */
	uint32		sum;			/* of these */
	double		normal;			/* sum that is normal */
	int			windows;		/* that normal is made of */
} Flow;

/* What the worker knows of one account. */
typedef struct Watch
{
	uint32		incarnation;	/* of the account: it may get another owner */
	char		name[PM_NAME_LEN];
	Flow		flow;
	Flow		own;			/* of the one client that pauses.c watches */
	uint64		own_key;		/* which one that is */
	double		limit;			/* more than this is a storm */
	int64		last_connect;	/* ms, monotonic */
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

	if (room < 0 && watch->flow.windows < LEARNING)
		least = STORM_UNKNOWN;
	if (room < 0)
		room = PM_PEAK_COUNT(pg_atomic_read_u64(&pm_shared->accounts[account].peak));
	return Max(Max(least, 2.0 * room + 1), Max(STORM_FACTOR * watch->flow.normal, OWN_FACTOR * own_rate * WINDOW));
}

static void
learn(Flow *flow, double sum, int most_windows)
{
	flow->windows = Min(flow->windows + 1, most_windows);
	flow->normal += (sum - flow->normal) / flow->windows;
}

/* Forgets the seconds that have left the window, up to the present one. */
static void
slide(Flow *flow, int64 from, int64 to)
{
	for (int64 second = Max(from + 1, to - WINDOW + 1); second <= to; second++)
	{
		flow->sum -= flow->seconds[second % WINDOW];
		flow->seconds[second % WINDOW] = 0;
	}
}

/* Returns how many connects are new since the last tick. */
static uint64
add_connects(Flow *flow, uint64 connects, int64 second)
{
	uint64		new = connects - flow->connects;

	flow->connects = connects;
	flow->seconds[second % WINDOW] += new;
	flow->sum += new;
	return new;
}

/* How many seconds ago the connects in the window began, 1 at least. */
static int
span(const Flow *flow, int64 second)
{
	for (int back = WINDOW - 1; back > 0; back--)
	{
		if (flow->seconds[(second - back) % WINDOW] > 0)
			return back + 1;
	}
	return 1;
}

/*
 * The client that is watched, which may be another one by now. What it answers to
 * retirements is not normal for it, so nothing is learnt here while pauses.c waits
 * for an answer: see pm_bursts_learn().
 */
static void
watch_client(int account, Watch *watch, int64 from, int64 second)
{
	PmAccount  *shared = &pm_shared->accounts[account];
	uint64		key = pg_atomic_read_u64(&shared->watched);
	uint64		connects = pg_atomic_read_u64(&shared->watched_connects);

	if (key != watch->own_key)
	{
		memset(&watch->own, 0, sizeof(Flow));
		watch->own.connects = connects;
		watch->own_key = key;
	}
	if (second / WINDOW != from / WINDOW && shared->pace.watched_since == 0 && !watch->storm)
		learn(&watch->own, watch->own.sum, OWN_WINDOWS);
	slide(&watch->own, from, second);
	(void) add_connects(&watch->own, connects, second);
}

static void
watch_connects(const PmRules *rules, int account, Watch *watch, int64 now)
{
	int64		second = now / 1000;
	Flow	   *flow = &watch->flow;
	uint64		new = add_connects(flow, counter(account, PM_CONNECTS), second);
	bool		discovered = pm_account_is_application(account);

	watch->limit = storm_limit(rules, account, watch);
	if (new > 0)
		watch->last_connect = now;
	if (watch->storm)
		watch->storm_connects += new;
	if (!watch->storm && flow->sum >= watch->limit)
	{
		int			seconds = span(flow, second);

		watch->storm = true;
		watch->storm_connects = flow->sum;
		watch->storm_since = now - (seconds - 1) * 1000;
		pm_event(PM_EVENT_STORM, watch->name, discovered, 0,
				 "{\"connects\": %u, \"seconds\": %d, \"connects_per_second\": %.1f, \"normal\": %.3f}",
				 flow->sum, seconds, (double) flow->sum / seconds, flow->normal / WINDOW);
	}
	else if (watch->storm && flow->sum < watch->limit / 2)
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
				watch->flow.connects = counter(i, PM_CONNECTS);
				watch->refused = counter(i, PM_REFUSED);
			}
		}
		/* a window has gone by: what it had was normal, if it was no storm */
		if (second / WINDOW != last_second / WINDOW && !watch->storm)
			learn(&watch->flow, watch->flow.sum, NORMAL_WINDOWS);
		slide(&watch->flow, last_second, second);
		watch_refusals(i, watch, now);
		watch_connects(rules, i, watch, now);
		watch_client(i, watch, last_second, second);
	}
	last_second = second;
}

bool
pm_bursts_in_storm(int account)
{
	return watches != NULL && watches[account].storm;
}

/* Does the watched client make as much of it as keeps a storm going? */
bool
pm_bursts_own_storm(int account)
{
	return pm_bursts_in_storm(account) && watches[account].own.sum >= watches[account].limit / 2;
}

/* What is known of the account, if it is still the same one; else NULL. */
static Watch *
watch_of(int account)
{
	if (watches == NULL || watches[account].incarnation != pm_shared->accounts[account].incarnation)
		return NULL;
	return &watches[account];
}

/* That of the watched client, if it was not changed since the last tick. */
static Flow *
own_flow(int account)
{
	Watch	   *watch = watch_of(account);

	if (watch == NULL || watch->own_key != pg_atomic_read_u64(&pm_shared->accounts[account].watched))
		return NULL;
	return &watch->own;
}

/* Connects a second of the watched client that are normal; false: not known yet. */
bool
pm_bursts_own_normal(int account, double *normal)
{
	Flow	   *own = own_flow(account);

	if (own == NULL || own->windows < LEARNING)
		return false;
	*normal = own->normal / WINDOW;
	return true;
}

/* Of all clients together. */
bool
pm_bursts_normal(int account, double *normal)
{
	Watch	   *watch = watch_of(account);

	if (watch == NULL || watch->flow.windows < LEARNING)
		return false;
	*normal = watch->flow.normal / WINDOW;
	return true;
}

/* So many connects a second of the watched client were no answer to anything. */
void
pm_bursts_learn(int account, double connects)
{
	Flow	   *own = own_flow(account);

	if (own != NULL)
		learn(own, connects * WINDOW, OWN_WINDOWS);
}
