/*
 * storms.c
 *		Notices connect storms, and has bursts of failed logins noticed.
 *
 * Connects are counted by the second, and looked at, at each tick, as the sum of
 * the last WINDOW seconds. Those of a tick that is further from the last one than a
 * second are taken to have come evenly in between; so where sample_interval is longer
 * than WINDOW, it is their mean that is judged, and a tick is a window.
 *
 * What is normal for an account is the mean of its sums, taken once in a whole WINDOW, in
 * which each one weighs less by the time (an exponential average over about
 * NORMAL_WINDOWS of them, that is an hour). It is a storm when the sum is
 *
 *		at least STORM_LEAST (STORM_UNKNOWN of what has no ceiling and no budget,
 *		so of all that is not declared, for LEARNING windows: what is normal is
 *		not known before),
 *		more than twice as many as the pool may have connections (a pool that
 *		opens all it has at once, as after a restart of the application, is
 *		none; for what has no ceiling, its peak stands in),
 *		more than STORM_FACTOR times the normal sum, and
 *		more than OWN_FACTOR times what the pool replaces by itself, because its
 *		sessions reach pool_recycle.
 *
 * It is over when the sum has come down to less than half of that. Sums of a storm
 * do not count towards what is normal, until it has lasted for LEARNING windows:
 * what goes on for ever is no storm. It is over when it has become normal, at once
 * where nothing was known before.
 *
 * In each account the connects of some login roles are looked at by themselves, for
 * pauses.c, which chooses them, and what is normal for each is learnt likewise; but
 * not from windows in which an answer to a retirement may be. That is kept in shared
 * memory.
 *
 * Bursts of logins that come to nothing: bursts.c.
 *
 * All other state is the worker's own: one that is started anew begins to learn anew.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "accounts/roles.h"
#include "base/clock.h"
#include "events/events.h"
#include "history/bursts.h"
#include "history/flow.h"
#include "history/storms.h"
#include "pools/schedule.h"
#include "utils/memutils.h"

#define WINDOW			PM_FLOW_WINDOW
#define NORMAL_WINDOWS	360
#define ROLE_WINDOWS	60		/* as long as a pause for reconnects: what is
								 * normal by then is known after it */
#define STORM_LEAST		20
#define STORM_UNKNOWN	100
#define LEARNING		PM_LEARNING_WINDOWS
#define STORM_FACTOR	5
#define OWN_FACTOR		2

/* What the worker knows of one account. */
typedef struct Watch
{
	uint32		incarnation;	/* of the account: it may get another owner */
	PmOwner		owner;			/* of that */
	PmFlow		flow;
	int64		since;			/* second that it is watched from */
	PmNormal	normal;
	PmFlow		by_role[PM_MOST_ROLES];
	Oid			roles[PM_MOST_ROLES];	/* whose they are */
	double		limit;			/* more than this is a storm */
	bool		normal_known;	/* was it, at the last look? */
	int64		last_connect;	/* ms, monotonic */
	bool		storm;
	int			storm_windows;	/* that it has lasted for */
	uint64		storm_connects;
	int64		storm_since;	/* ms, monotonic */

	PmBurst		bursts[PM_NUM_BURSTS];
} Watch;

static Watch *watches = NULL;	/* one for each account */
static int *pool_of = NULL;		/* of each account, see know_pools() */
static uint64 generation = 0;	/* of the declarations that it goes by */
static int64 last_second = 0;	/* of the last tick, monotonic */

static uint64
counter(int account, PmCounter which)
{
	return pm_account_counted(account, which);
}

/* Of each account the pool that it is of, -1: of none. Once for each generation. */
static void
know_pools(const PmRules *rules)
{
	for (int i = 0; i < pm_num_accounts(); i++)
		pool_of[i] = -1;
	/* the first one, where several have none of their own */
	for (int i = rules->npools - 1; i >= 0; i--)
		pool_of[rules->accounts[i]] = i;
	generation = rules->generation;
}

/*
 * Connections that the account may open at once, -1: that is not known; and how
 * many a second it replaces by itself.
 */
static int
room_of(const PmRules *rules, int account, double *own_rate)
{
	const PmPool *pool;

	*own_rate = 0;
	if (pool_of[account] < 0)
		return -1;
	pool = &rules->pools[pool_of[account]];
	*own_rate = pm_pool_own_rate(pool, pg_atomic_read_u32(&pm_accounts->all[account].connections));
	return Max(pool->ceiling, pool->budget);
}

static double
storm_limit(const PmRules *rules, int account, Watch *watch)
{
	double		own_rate;
	int			room = room_of(rules, account, &own_rate);
	int			least = STORM_LEAST;
	double		normal = watch->normal.rate;

	watch->normal_known = watch->normal.windows >= (room < 0 ? LEARNING : 1);
	/* the first windows may be a part of one, or of the storm itself */
	if (room < 0 && !watch->normal_known)
	{
		least = STORM_UNKNOWN;
		normal = 0;
	}
	if (room < 0)
		room = PM_PEAK_COUNT(pg_atomic_read_u64(&pm_accounts->all[account].peak));
	return Max(Max(least, 2.0 * room + 1), Max(STORM_FACTOR * normal, OWN_FACTOR * own_rate) * WINDOW);
}

static void
learn(PmNormal *normal, double rate, int most_windows)
{
	normal->windows = Min(normal->windows + 1, most_windows);
	normal->rate += (rate - normal->rate) / normal->windows;
}

/* Is it a storm, and does the role make as much of it as keeps it going? */
static bool
role_in_storm(const Watch *watch, int i)
{
	return watch->storm && watch->by_role[i].sum >= watch->limit / 2;
}

/* One of the roles whose connects are counted; the place may have another one by now. */
static void
watch_role(PmRole *role, Watch *watch, int i, int64 second, int64 now)
{
	PmFlow	   *flow = &watch->by_role[i];
	Oid			oid = pg_atomic_read_u32(&role->oid);
	uint64		connects = pg_atomic_read_u64(&role->connects);
	int64		step = Max(second - last_second, 1);

	if (oid != watch->roles[i])
	{
		memset(flow, 0, sizeof(PmFlow));
		flow->connects = connects;
		watch->roles[i] = oid;
		role->calm_since = Max(role->calm_since, now);	/* a whole window first */
	}
	if (second / WINDOW != last_second / WINDOW && !role_in_storm(watch, i) &&
		role->watched_since == 0 && now - role->calm_since > (Max(WINDOW, step) + step) * 1000)
		learn(&role->normal, (double) flow->sum / WINDOW, ROLE_WINDOWS);
	pm_flow_slide(flow, last_second, second);
	(void) pm_flow_add(flow, connects, last_second, second);
}

static void
watch_roles(int account, Watch *watch, int64 second, int64 now)
{
	PmRole	   *roles = pm_roles_of(account)->of;

	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		if (pg_atomic_read_u32(&roles[i].oid) != InvalidOid)
			watch_role(&roles[i], watch, i, second, now);
	}
}

static void
watch_connects(const PmRules *rules, int account, Watch *watch, int64 now)
{
	int64		second = now / 1000;
	PmFlow	   *flow = &watch->flow;
	uint64		new = pm_flow_add(flow, counter(account, PM_CONNECTS), last_second, second);

	watch->limit = storm_limit(rules, account, watch);
	if (new > 0)
		watch->last_connect = now;
	if (watch->storm)
		watch->storm_connects += new;
	if (!watch->storm && flow->sum >= watch->limit)
	{
		int			seconds = pm_flow_span(flow, second);
		char		normal[32];

		snprintf(normal, sizeof(normal), "%.3f", watch->normal.rate);
		watch->storm = true;
		watch->storm_windows = 0;
		watch->storm_connects = flow->sum;
		watch->storm_since = now - (seconds - 1) * 1000;
		pm_account_add(account, PM_STORMS, 1);
		pm_event_of(PM_EVENT_STORM, &watch->owner, 0,
					"{\"connects\": %u, \"seconds\": %d, \"connects_per_second\": %.1f, \"normal\": %s}",
					flow->sum, seconds, (double) flow->sum / seconds,
					watch->normal_known ? normal : "null");
	}
	else if (watch->storm && flow->sum < watch->limit / 2)
	{
		watch->storm = false;
		pm_event_of(PM_EVENT_STORM_OVER, &watch->owner, 0,
					"{\"connects\": " UINT64_FORMAT ", \"seconds\": %.0f}",
					watch->storm_connects, Max(watch->last_connect - watch->storm_since, 0) / 1000.0);
	}
}

/*
 * A new owner of the account begins without a past; but what a new worker finds has
 * happened before it.
 */
static void
prime(int account, Watch *watch, bool first, int64 second)
{
	memset(watch, 0, sizeof(*watch));
	watch->since = second;
	watch->owner = pm_accounts->all[account].owner;
	watch->incarnation = pm_accounts->all[account].incarnation;
	pm_bursts_begin(watch->bursts, account, first);
	if (first)
		watch->flow.connects = counter(account, PM_CONNECTS);
}

static void
watch_account(const PmRules *rules, int account, bool first, int64 second, int64 now)
{
	Watch	   *watch = &watches[account];

	if (watch->incarnation != pm_accounts->all[account].incarnation)
		prime(account, watch, first, second);
	/* a whole window has gone by: what it had was normal, if it was no storm */
	if (second / WINDOW != last_second / WINDOW && last_second - watch->since >= WINDOW - 1 &&
		(!watch->storm || ++watch->storm_windows > LEARNING))
		learn(&watch->normal, (double) watch->flow.sum / WINDOW, NORMAL_WINDOWS);
	pm_flow_slide(&watch->flow, last_second, second);
	pm_bursts_watch(watch->bursts, account, &watch->owner, now);
	watch_connects(rules, account, watch, now);
	watch_roles(account, watch, second, now);
}

/* Called by the worker at each tick. Allocates once. */
void
pm_storms_tick(const PmRules *rules)
{
	int64		now = pm_monotonic_ms();
	int64		second = now / 1000;
	bool		first = watches == NULL;

	if (first)
	{
		pool_of = MemoryContextAlloc(TopMemoryContext, sizeof(int) * pm_num_accounts());
		watches = MemoryContextAllocZero(TopMemoryContext, sizeof(Watch) * pm_num_accounts());
		last_second = second;
	}
	if (first || generation != rules->generation)
		know_pools(rules);
	for (int i = 0; i < pm_server_account(); i++)
	{
		if (pm_account_ready(i) && i != pm_undeclared_account())
			watch_account(rules, i, first, second, now);
	}
	last_second = second;
}

/* Is the role in this place of PmRoles in a storm of its own? */
bool
pm_storms_role_in_one(int account, int i)
{
	const Watch *watch;

	if (watches == NULL)
		return false;
	watch = &watches[account];
	return watch->incarnation == pm_accounts->all[account].incarnation &&
		watch->roles[i] == pg_atomic_read_u32(&pm_roles_of(account)->of[i].oid) &&
		role_in_storm(watch, i);
}

/* So many connects a second of a role were no answer to anything. */
void
pm_storms_learn(PmNormal *normal, double rate)
{
	learn(normal, rate, ROLE_WINDOWS);
}
