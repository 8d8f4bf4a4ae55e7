/*
 * publish.c
 *		Puts declarations in force.
 *
 * All sessions' logins read the set that is in force, and the worker waits for the lock
 * under which another one takes its place. So what can be found out without the lock is:
 * whether anything has changed, and which pool was which before. That holds if the set is
 * still in force when the lock is taken; if not, it is found out once more.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/places.h"
#include "accounts/seats.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "pools/publish.h"
#include "utils/timestamp.h"

/* The declarations that come, compared with those in force. */
typedef struct Successor
{
	const PmPool *pools;
	int			npools;
	PmNameIndex index;			/* of these */
	uint32		version;		/* of the declarations that they were compared
								 * with */
	bool		changed;
	bool		takes_more;		/* one is new, or matches other names */
	int		   *former;			/* of each: its index in those; -1: it is new */
} Successor;

/* Once for all comparisons. Allocates in the current memory context. */
static void
prepare(Successor *next, const PmPool *pools, int npools)
{
	next->pools = pools;
	next->npools = npools;
	next->former = palloc(sizeof(int) * (npools + 1));
	pm_name_index_init(&next->index, npools);
	for (int i = 0; i < npools; i++)
		pm_name_index_add(&next->index, pools[i].name, i);
}

static bool
match_alike(const PmPool *a, const PmPool *b)
{
	return memcmp(&a->application_name, &b->application_name, sizeof(PmPattern)) == 0 &&
		memcmp(&a->datname, &b->datname, sizeof(PmPattern)) == 0 &&
		memcmp(&a->usename, &b->usename, sizeof(PmPattern)) == 0 &&
		memcmp(&a->client_addr, &b->client_addr, sizeof(PmNetwork)) == 0;
}

/*
 * May sessions that were undeclared be in one of the pools by now? With as many pools, or
 * fewer, each of which matches what one of that name has matched, there are none.
 */
static bool
takes_more(const Successor *next, const PmRuleSet *set)
{
	for (int i = 0; i < next->npools; i++)
	{
		if (next->former[i] < 0 || !match_alike(&next->pools[i], &set->pools[next->former[i]]))
			return true;
	}
	return false;
}

/*
 * Without the lock what is read may be written meanwhile: then version says so, and
 * nothing of it is used. A name there always ends within its field.
 */
static void
compare(Successor *next)
{
	const PmRuleSet *set;
	int			npools;

	next->version = pg_atomic_read_u32(&pm_declarations->rules_version);
	pg_read_barrier();
	set = &pm_declarations->rule_sets[next->version % 2];
	npools = Min(set->npools, pm_max_pools);
	next->changed = next->npools != npools ||
		(npools > 0 && memcmp(next->pools, set->pools, npools * sizeof(PmPool)) != 0);
	for (int i = 0; i < next->npools; i++)
		next->former[i] = -1;
	for (int i = 0; i < npools && next->changed; i++)
	{
		int			pool = pm_name_index_find(&next->index, set->pools[i].name);

		if (pool >= 0)
			next->former[pool] = i;
	}
	next->takes_more = next->changed && takes_more(next, set);
	pg_read_barrier();
}

static void
compare_again(Successor *next)
{
	if (next->version != pg_atomic_read_u32(&pm_declarations->rules_version))
		compare(next);
}

/*
 * Looks at where the set will be written: a page where nobody has been yet is not made
 * under the lock then.
 */
static void
approach(const Successor *next)
{
	const PmRuleSet *set = &pm_declarations->rule_sets[1 - next->version % 2];

	for (int i = 0; i < next->npools; i++)
		(void) *(volatile const char *) set->pools[i].name;
}

/* The account of a pool that goes on stays its own. Caller holds lock. */
static int
account_of(const Successor *next, int i, const PmRuleSet *former)
{
	int			account = next->former[i] >= 0 ? former->accounts[next->former[i]] : -1;

	return account >= 0 && account != pm_other_account() ? account : pm_account_for_pool(next->pools[i].name);
}

/* Of a pool that has an account of its own. Caller holds lock. */
static void
note_sizes(int account, const PmPool *pool, TimestampTz now)
{
	if (account != pm_other_account())
		pm_sizes_become(&pm_accounts->all[account].sizes, pool->base, pool->ceiling, pool->budget, now);
}

/*
 * How many pools there are up to the last one that refuses logins: what comes after that
 * takes no session from any of them.
 */
static int
guarded_part(const PmPool *pools, int npools)
{
	while (npools > 0 && pools[npools - 1].guard != PM_GUARD_ENFORCE)
		npools--;
	return npools;
}

/* Are both the same pool for the guards: do they take the same sessions, and refuse the same ones? */
static bool
guard_alike(const PmPool *a, const PmPool *b)
{
	if (strcmp(a->name, b->name) != 0 || !match_alike(a, b) ||
		(a->guard == PM_GUARD_ENFORCE) != (b->guard == PM_GUARD_ENFORCE))
		return false;
	return a->guard != PM_GUARD_ENFORCE ||
		(a->budget == b->budget && a->reserved == b->reserved && a->base == b->base &&
		 a->connect_rate == b->connect_rate && a->connect_burst == b->connect_burst &&
		 a->guard_superusers == b->guard_superusers);
}

/*
 * Does it change whom a guard refuses, or what it goes by? Else the guards stay in force: who
 * may declare only what refuses nobody, and change all of it but what it matches (acting.c),
 * cannot open them by that, however often. What only reports may count by the former terms
 * until the next tick. Where what is undeclared has a limit, every pool takes sessions from it.
 */
static bool
concerns_guards(const Successor *next, const PmRuleSet *former)
{
	bool		all = pm_undeclared_is_limited();
	int			n = all ? next->npools : guarded_part(next->pools, next->npools);

	if (n != (all ? former->npools : guarded_part(former->pools, former->npools)))
		return true;
	for (int i = 0; i < n; i++)
	{
		if (!guard_alike(&next->pools[i], &former->pools[i]))
			return true;
	}
	return false;
}

/*
 * Puts the declarations in force: all is written into the set that is not, and
 * then they change places. Those that go on keep their accounts, which are open, so new
 * ones get others. Caller holds lock.
 */
static void
replace_pools(const Successor *next, TimestampTz now)
{
	const PmRuleSet *former = pm_rules_in_force();
	PmRuleSet  *set = &pm_declarations->rule_sets[1 - (former - pm_declarations->rule_sets)];
	PmPoolState *states = pm_declarations->states;

	/* the former states, aside: states is about to be overwritten */
	memcpy(states + pm_max_pools, states, former->npools * sizeof(PmPoolState));
	if (concerns_guards(next, former))
		pm_seats_change();
	for (int i = 0; i < next->npools; i++)
	{
		if (next->former[i] >= 0)
			states[i] = states[pm_max_pools + next->former[i]];
		else
			memset(&states[i], 0, sizeof(PmPoolState));
		set->accounts[i] = account_of(next, i, former);
		note_sizes(set->accounts[i], &next->pools[i], now);
		set->leads[i] = pm_lead(&next->pools[i]);
	}
	if (next->npools > 0)
		memcpy(set->pools, next->pools, next->npools * sizeof(PmPool));
	set->npools = next->npools;
	pg_write_barrier();
	pg_atomic_fetch_add_u32(&pm_declarations->rules_version, 1);
	pg_atomic_fetch_add_u64(&pm_declarations->generation, 1);
}

/*
 * Is this the first load of this run of the server, and nothing was wrong before? Then it
 * brings back what was in force when the former run ended. Caller holds lock.
 */
static bool
as_before_the_start(void)
{
	return pm_declarations->load_result == PM_LOAD_NEVER;
}

/*
 * Puts npools <= max_pools declarations in force, as the outcome of the load with
 * this ticket; does nothing when a later one was faster (a load outlives a
 * worker that ends, and may meet the next worker's). True when that changed
 * anything. A pool that had a state, by name, keeps it. Pools must be zeroed
 * where unset, because they are compared as memory. In the process that has read
 * them, from the table given. Allocates in the current memory context; takes lock.
 */
bool
pm_rules_publish(uint64 ticket, const PmPool *pools, int npools, int declared, Oid table)
{
	Successor	next;
	bool		changed = false;
	TimestampTz now = GetCurrentTimestamp();

	prepare(&next, pools, npools);
	compare(&next);
	if (next.changed)
		approach(&next);
	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	if (ticket >= pm_declarations->load_done)
	{
		compare_again(&next);
		changed = next.changed;
		if (changed)
			replace_pools(&next, now);
		if (next.takes_more && !as_before_the_start())
			pm_accounts->all[pm_undeclared_account()].sizes.since = now;
		pm_declarations->load_done = ticket;
		pm_declarations->loaded_at = now;
		pm_declarations->load_result = PM_LOAD_OK;
		pm_declarations->load_message[0] = '\0';
		pm_declarations->load_declared = declared;
		pm_declarations->load_database = MyDatabaseId;
		pm_declarations->load_table = table;
	}
	LWLockRelease(&pm_accounts->lock.lock);
	return changed;
}
