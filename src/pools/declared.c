/*
 * declared.c
 *		The declarations in force, in shared memory, and how their last load went.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/guc.h"
#include "base/wake.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "utils/memutils.h"

PmDeclarations *pm_declarations = NULL;

static Size
declarations_size(void)
{
	Size		size = MAXALIGN(sizeof(PmDeclarations));

	size = add_size(size, mul_size(2, MAXALIGN(mul_size(pm_max_pools, sizeof(PmPool)))));
	size = add_size(size, mul_size(2, MAXALIGN(mul_size(pm_max_pools, sizeof(int)))));
	size = add_size(size, mul_size(2, MAXALIGN(pm_leads_size(pm_max_pools))));
	return add_size(size, MAXALIGN(mul_size(2 * pm_max_pools, sizeof(PmPoolState))));
}

static void
attach_declarations(void *memory)
{
	pm_declarations = memory;
}

static void
init_declarations(void)
{
	char	   *at = (char *) pm_declarations + MAXALIGN(sizeof(PmDeclarations));

	pg_atomic_init_u64(&pm_declarations->generation, 1);
	pg_atomic_init_u64(&pm_declarations->load_requested, 1);	/* load at start-up */
	pg_atomic_init_u32(&pm_declarations->rules_version, 0);
	for (int i = 0; i < 2; i++)
	{
		pm_declarations->rule_sets[i].pools = (PmPool *) at;
		at += MAXALIGN(pm_max_pools * sizeof(PmPool));
		pm_declarations->rule_sets[i].accounts = (int *) at;
		at += MAXALIGN(pm_max_pools * sizeof(int));
		pm_declarations->rule_sets[i].leads = (uint8 *) at;
		at += MAXALIGN(pm_leads_size(pm_max_pools));
	}
	pm_declarations->states = (PmPoolState *) at;
}

const PmSection pm_declarations_section = {
	.name = "declarations",
	.size = declarations_size,
	.attach = attach_declarations,
	.init = init_declarations,
};

/* Those of the set in force, which do not change while it is. Returns its version. */
static uint32
copy_pools(PmRules *rules)
{
	uint32		version = pg_atomic_read_u32(&pm_declarations->rules_version);
	const PmRuleSet *set = &pm_declarations->rule_sets[version % 2];

	pg_read_barrier();
	rules->npools = Min(set->npools, pm_max_pools);
	memcpy(rules->pools, set->pools, rules->npools * sizeof(PmPool));
	memcpy(rules->leads, set->leads, pm_leads_size(rules->npools));
	pg_read_barrier();
	return version;
}

/*
 * What is long is copied before the lock is taken, and under it only when the declarations
 * have changed meanwhile.
 */
static void
copy_rules(PmRules *rules)
{
	uint32		version = copy_pools(rules);

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	if (version != pg_atomic_read_u32(&pm_declarations->rules_version))
		(void) copy_pools(rules);
	rules->generation = pg_atomic_read_u64(&pm_declarations->generation);
	memcpy(rules->accounts, pm_rules_in_force()->accounts, rules->npools * sizeof(int));
	for (int i = 0; i < rules->npools; i++)
		rules->incarnations[i] = pm_account_incarnation(rules->accounts[i]);
	LWLockRelease(&pm_accounts->lock.lock);
}

/*
 * This process's copy of the declarations, fetched again when they changed.
 * Takes lock, but only then. Raises out of memory only.
 */
const PmRules *
pm_rules_current(void)
{
	static PmRules rules = {0};

	if (!pm_preloaded)
		return &rules;
	if (rules.accounts == NULL)
		rules.accounts = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(int));
	if (rules.incarnations == NULL)
		rules.incarnations = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(uint32));
	if (rules.pools == NULL)
		rules.pools = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(PmPool));
	if (rules.leads == NULL)
		rules.leads = MemoryContextAlloc(TopMemoryContext, pm_leads_size(pm_max_pools));
	if (rules.generation != pg_atomic_read_u64(&pm_declarations->generation))
	{
		copy_rules(&rules);
		rules.by_client_addr = false;
		for (int i = 0; i < rules.npools; i++)
			rules.by_client_addr |= rules.pools[i].client_addr.limited;
	}
	return &rules;
}

/*
 * Copies what the sampler remembers of each of these pools; false, and nothing
 * copied, when the declarations have changed since. Takes lock.
 */
bool
pm_states_copy(const PmRules *rules, PmPoolState *states)
{
	bool		current;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	current = rules->generation == pg_atomic_read_u64(&pm_declarations->generation);
	if (current)
		memcpy(states, pm_declarations->states, rules->npools * sizeof(PmPoolState));
	LWLockRelease(&pm_accounts->lock.lock);
	return current;
}

/* Where the last good load read: what happens there concerns us. Takes lock. */
void
pm_load_watch(Oid *database, Oid *table)
{
	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	*database = pm_declarations->load_database;
	*table = pm_declarations->load_table;
	LWLockRelease(&pm_accounts->lock.lock);
}

/*
 * For the views of declared pools: nothing in them may look like "none is
 * declared" when nobody has been able to look. Takes lock.
 */
void
pm_warn_if_never_loaded(void)
{
	bool		loaded;
	char		message[PM_LOAD_MESSAGE_LEN];
	PmLoadResult result;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	loaded = OidIsValid(pm_declarations->load_database);
	result = pm_declarations->load_result;
	strlcpy(message, pm_declarations->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(&pm_accounts->lock.lock);

	if (loaded)
		return;
	if (result == PM_LOAD_NEVER)
		ereport(WARNING,
				(errmsg("the declared pools have not been loaded since the server started"),
				 errhint("If this lasts, the worker \"pool_monitor\" is not running: the server log says why. It needs two of \"max_worker_processes\".")));
	else
		ereport(WARNING,
				(errmsg("the declared pools could not be loaded: %s", message),
				 errhint("%s", pm_load_hint(result))));
}

/* What to do about a load that failed. */
const char *
pm_load_hint(PmLoadResult result)
{
	switch (result)
	{
		case PM_LOAD_NO_DATABASE:
			return "Set \"pool_monitor.database\" to the database in which the pools are declared.";
		case PM_LOAD_NO_EXTENSION:
			return "Run CREATE EXTENSION pool_monitor in that database, or set \"pool_monitor.database\" to the one that has it.";
		case PM_LOAD_NO_WORKER_SLOT:
			return "Raise \"max_worker_processes\" and restart the server.";
		case PM_LOAD_WRONG_OWNER:
			return "One superuser must own all three: ALTER TABLE, ALTER SCHEMA ... OWNER TO, or REASSIGN OWNED for the extension.";
		default:
			return "pool_monitor tries again by itself, within five minutes; pool_monitor.reload() does at once.";
	}
}

/* Takes lock. */
PmLoadState
pm_load_state(uint64 ticket)
{
	bool		done;
	PmLoadResult result;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	done = pm_declarations->load_done >= ticket;
	result = pm_declarations->load_result;
	LWLockRelease(&pm_accounts->lock.lock);

	if (!done)
		return PM_DECLARATIONS_PENDING;
	return result == PM_LOAD_OK ? PM_DECLARATIONS_CURRENT : PM_DECLARATIONS_FAILED;
}

/*
 * What somebody in any database and language can be shown: the message is in the
 * encoding of the one it comes from, so what is not ASCII becomes a question mark.
 */
static void
copy_message(char *to, const char *message)
{
	strlcpy(to, message, PM_LOAD_MESSAGE_LEN);
	for (; *to != '\0'; to++)
	{
		if (IS_HIGHBIT_SET(*to))
			*to = '?';
	}
}

/* Takes lock. A message is cut to fit; a later load's outcome is kept. */
void
pm_load_result(uint64 ticket, PmLoadResult result, const char *message)
{
	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	if (ticket >= pm_declarations->load_done)
	{
		pm_declarations->load_result = result;
		copy_message(pm_declarations->load_message, message);
		pm_declarations->load_done = ticket;
	}
	LWLockRelease(&pm_accounts->lock.lock);
}

/* Asks the worker to read the declarations again. Cannot fail, takes no lock. */
void
pm_request_load(void)
{
	pg_atomic_fetch_add_u64(&pm_declarations->load_requested, 1);
	pm_wake_worker();
}
