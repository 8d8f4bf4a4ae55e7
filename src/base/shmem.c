/*
 * shmem.c
 *		Sizes, request and start-up of the shared memory, and the
 *		declarations in it.
 */
#include "postgres.h"

#include <unistd.h>

#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "sessions/settle.h"
#include "statfile/statfile.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#define TRANCHE "pool_monitor"
#define NUM_LOCKS 4

/* A request larger than this, or than this share of the machine, is explained. */
#define LARGE_REQUEST	((Size) 256 << 20)
#define LARGE_SHARE		8
#define MB(size)		((size) >> 20)

PmShared   *pm_shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
shared_size(void)
{
	Size		size = MAXALIGN(sizeof(PmShared));

	size = add_size(size, mul_size(2, MAXALIGN(mul_size(pm_max_pools, sizeof(PmPool)))));
	size = add_size(size, mul_size(2, MAXALIGN(mul_size(pm_max_pools, sizeof(int)))));
	size = add_size(size, MAXALIGN(mul_size(2 * pm_max_pools, sizeof(PmPoolState))));
	size = add_size(size, MAXALIGN(mul_size(MaxBackends, sizeof(PmSlot))));
	size = add_size(size, MAXALIGN(mul_size(MaxBackends, sizeof(PmSheet))));
	size = add_size(size, MAXALIGN(pm_accounts_size()));
	size = add_size(size, MAXALIGN(pm_history_size()));
	return add_size(size, MAXALIGN(pm_events_size()));
}

static bool
is_large(Size size)
{
	long		pages = sysconf(_SC_PHYS_PAGES);

	return size >= LARGE_REQUEST ||
		(pages > 0 && size >= (Size) pages * sysconf(_SC_PAGESIZE) / LARGE_SHARE);
}

/*
 * Says which settings make the request large, before it is made: the server's
 * own message, when it cannot start, knows the sum alone.
 */
static void
explain_request(Size size)
{
	Size		series = mul_size(pm_num_series(), sizeof(PmBucket));
	Size		minutes = mul_size(series, pm_history_minutes);
	Size		hours = mul_size(series, pm_history_hours);
	Size		events = pm_events_size();
	Size		applications = mul_size(pm_max_applications, sizeof(PmAccount));
	Size		processes = mul_size(MaxBackends, sizeof(PmSlot) + sizeof(PmSheet));

	ereport(LOG,
			(errmsg("pool_monitor asks for %zu MB of shared memory", MB(size)),
			 errdetail("History by the minute (\"pool_monitor.max_pools\" %d, \"pool_monitor.history_minutes\" %d): %zu MB. "
					   "History by the hour (\"pool_monitor.max_pools\", \"pool_monitor.history_hours\" %d): %zu MB. "
					   "Events (\"pool_monitor.max_events\" %d): %zu MB. "
					   "Applications (\"pool_monitor.max_applications\" %d): %zu MB. "
					   "Sessions (\"max_connections\" %d and other processes): %zu MB. "
					   "Pools (\"pool_monitor.max_pools\") and the rest: %zu MB.",
					   pm_max_pools, pm_history_minutes, MB(minutes),
					   pm_history_hours, MB(hours),
					   pm_max_events, MB(events),
					   pm_max_applications, MB(applications),
					   MaxConnections, MB(processes),
					   MB(size - minutes - hours - events - applications - processes)),
			 errhint("If the server cannot start for want of shared memory, lower these settings.")));
}

static void
request_shared_memory(void)
{
	Size		size = shared_size();

	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	if (is_large(size))
		explain_request(size);
	RequestAddinShmemSpace(size);
	RequestNamedLWLockTranche(TRANCHE, NUM_LOCKS);
}

static void
initialize_shared_memory(PmShared *shared)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE);
	char	   *at = (char *) shared + MAXALIGN(sizeof(PmShared));

	memset(shared, 0, shared_size());
	shared->lock = &locks[0].lock;
	shared->ask_lock = &locks[1].lock;
	shared->history_lock = &locks[2].lock;
	shared->events_lock = &locks[3].lock;
	for (int i = 0; i < 2; i++)
	{
		shared->rule_sets[i].pools = (PmPool *) at;
		at += MAXALIGN(pm_max_pools * sizeof(PmPool));
		shared->rule_sets[i].accounts = (int *) at;
		at += MAXALIGN(pm_max_pools * sizeof(int));
	}
	shared->states = (PmPoolState *) at;
	at += MAXALIGN(2 * pm_max_pools * sizeof(PmPoolState));
	shared->slots = (PmSlot *) at;
	at += MAXALIGN(MaxBackends * sizeof(PmSlot));
	shared->sheets = (PmSheet *) at;
	at += MAXALIGN(MaxBackends * sizeof(PmSheet));
	pm_accounts_init(at);
	at += MAXALIGN(pm_accounts_size());
	shared->history = (PmHistory *) at;
	pm_history_init(at);
	at += MAXALIGN(pm_history_size());
	shared->events = (PmEvents *) at;
	pm_events_init(shared->events);

	pg_atomic_init_u64(&shared->worker_latch, 0);
	pg_atomic_init_u64(&shared->generation, 1);
	pg_atomic_init_u64(&shared->load_requested, 1); /* load at start-up */
	pg_atomic_init_u64(&shared->ticket, 0);
	pg_atomic_init_u32(&shared->resets, 0);
	pg_atomic_init_u32(&shared->rules_version, 0);
	pg_atomic_init_u32(&shared->no_place, 0);
	pg_atomic_init_u32(&shared->errand_words.orderly_exits, 0);
	pg_atomic_init_u32(&shared->given_up, 0);
	pg_atomic_init_u32(&shared->refused_full, 0);
	pg_atomic_init_u32(&shared->refused_half, 0);
	pg_atomic_init_u32(&shared->save_wanted, 0);
	for (int i = 0; i < MaxBackends; i++)
	{
		pg_atomic_init_u32(&shared->slots[i].pid, 0);
		pg_atomic_init_u32(&shared->slots[i].listening, 0);
		pg_atomic_init_u32(&shared->slots[i].role, InvalidOid);
		pg_atomic_init_u64(&shared->slots[i].request, 0);
		shared->slots[i].leak_told = 0;
		shared->slots[i].declined_start = 0;
		pm_sheet_init(&shared->sheets[i], shared->lock->tranche);
	}
}

StaticAssertDecl(PM_NUM_REASONS <= PM_MOST_REASONS, "account.h has no room for all reasons");

/* Runs in the postmaster, at start and again in each crash restart. */
static void
start_shared_memory(void)
{
	bool		found;
	PmShared   *shared;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("pool_monitor", shared_size(), &found);
	pm_shared = shared;
	if (!found)
		initialize_shared_memory(shared);
	LWLockRelease(AddinShmemInitLock);
	pm_statfile_at_exit();
}

void
pm_shmem_install(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

/*
 * The one symbol for another library: a module of the tests lays made-up history
 * in here. No SQL can call it.
 */
PmShared *
pm_shared_memory(void)
{
	return pm_shared;
}

void
pm_require_preload(void)
{
	if (pm_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pool_monitor must be loaded via \"shared_preload_libraries\""),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
}

/* In the words of the views; also in src/sql's comment on sessions. */
const char *
pm_reason_text(PmReason reason)
{
	static const char *const text[PM_NUM_REASONS] = {
		[PM_REASON_NONE] = NULL,
		[PM_REASON_NO_POOL] = "in no declared pool",
		[PM_REASON_DISABLED] = "pool_monitor.recycle_enabled is off",
		[PM_REASON_MODE_OFF] = "recycle_mode is off",
		[PM_REASON_MODE_REPORT] = "recycle_mode is report",
		[PM_REASON_LOADING] = "changed declarations are not loaded",
		[PM_REASON_WINDOW] = "outside recycle_window",
		[PM_REASON_PAUSED] = "scheduled retirement pauses",
		[PM_REASON_LIMIT] = "recycle_limit is used up",
		[PM_REASON_TURN] = "waiting for its turn",
		[PM_REASON_NEVER] = "pool_recycle is not set",
		[PM_REASON_NOT_OVER_AGE] = "not over age",
		[PM_REASON_MARGIN] = "over age by less than recycle_margin",
		[PM_REASON_STATE_UNKNOWN] = "state unknown",
		[PM_REASON_BUSY] = "busy",
		[PM_REASON_IN_TRANSACTION] = "in a transaction",
		[PM_REASON_GRACE] = "idle for less than recycle_grace",
		[PM_REASON_CALLER] = "the calling session",
		[PM_REASON_SUPERUSER] = "superuser",
		[PM_REASON_PROTECTED] = "protected role",
		[PM_REASON_OTHER_SESSION] = "another session by now",
		[PM_REASON_LATE] = "asked too long ago",
		[PM_REASON_NOT_WAITING] = "not yet waiting for the client",
		[PM_REASON_MESSAGE] = "message from the client waiting",
		[PM_REASON_UNREAD] = "answers not read by the client",
		[PM_REASON_USED] = "used meanwhile",
		[PM_REASON_SESSION_LOCK] = "session-level lock",
		[PM_REASON_TEMP_SCHEMA] = "temporary schema",
		[PM_REASON_LISTENING] = "listening",
		[PM_REASON_BACKUP] = "backup in progress",
		[PM_REASON_REPLICATION_SLOT] = "temporary replication slot",
		[PM_REASON_HELD_CURSOR] = "WITH HOLD cursor",
		[PM_REASON_ROLE_CHANGED] = "its role was changed",
		[PM_REASON_GONE] = "ended meanwhile",
		[PM_REASON_ASKED_ALREADY] = "being asked already",
		[PM_REASON_NO_HANDLER] = "SIGUSR2 was taken over",
		[PM_REASON_NO_ANSWER] = "no answer",
		[PM_REASON_NO_SLOT] = "beginning or ending",
	};

	return text[reason];
}

/* Is a session that declined so likely to decline again? */
bool
pm_reason_lasts(PmReason reason)
{
	return (reason >= PM_REASON_SESSION_LOCK && reason <= PM_REASON_ROLE_CHANGED) ||
		reason == PM_REASON_NO_HANDLER || reason == PM_REASON_NO_ANSWER;
}

static void
copy_rules(PmRules *rules)
{
	const PmRuleSet *set;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	set = pm_rules_in_force();
	rules->generation = pg_atomic_read_u64(&pm_shared->generation);
	rules->npools = set->npools;
	memcpy(rules->pools, set->pools, rules->npools * sizeof(PmPool));
	memcpy(rules->accounts, set->accounts, rules->npools * sizeof(int));
	for (int i = 0; i < rules->npools; i++)
		rules->incarnations[i] = pm_account_incarnation(rules->accounts[i]);
	LWLockRelease(pm_shared->lock);
}

/*
 * This process's copy of the declarations, fetched again when they changed.
 * Takes lock, but only then. Raises out of memory only.
 */
const PmRules *
pm_rules_current(void)
{
	static PmRules rules = {0};

	if (pm_shared == NULL)
		return &rules;
	if (rules.accounts == NULL)
		rules.accounts = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(int));
	if (rules.incarnations == NULL)
		rules.incarnations = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(uint32));
	if (rules.pools == NULL)
		rules.pools = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(PmPool));
	if (rules.generation != pg_atomic_read_u64(&pm_shared->generation))
	{
		copy_rules(&rules);
		rules.by_client_addr = false;
		rules.by_login = false;
		for (int i = 0; i < rules.npools; i++)
		{
			rules.by_client_addr |= !rules.pools[i].any_client_addr;
			rules.by_login |= !rules.pools[i].any_datname || !rules.pools[i].any_usename;
		}
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

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	current = rules->generation == pg_atomic_read_u64(&pm_shared->generation);
	if (current)
		memcpy(states, pm_shared->states, rules->npools * sizeof(PmPoolState));
	LWLockRelease(pm_shared->lock);
	return current;
}

static int
find_pool(const PmRuleSet *set, const char *name)
{
	for (int i = 0; i < set->npools; i++)
	{
		if (strcmp(set->pools[i].name, name) == 0)
			return i;
	}
	return -1;
}

/*
 * Puts the declarations in force: all is written into the set that is not, and
 * then they change places. Those that go on keep their accounts before new ones
 * get theirs. Caller holds lock.
 */
static void
replace_pools(const PmPool *pools, int npools)
{
	const PmRuleSet *former = pm_rules_in_force();
	PmRuleSet  *set = &pm_shared->rule_sets[1 - (former - pm_shared->rule_sets)];
	PmPoolState *states = pm_shared->states;

	/* the former states, aside: states is about to be overwritten */
	memcpy(states + pm_max_pools, states, former->npools * sizeof(PmPoolState));
	for (int i = 0; i < npools; i++)
	{
		int			old = find_pool(former, pools[i].name);

		if (old >= 0)
			states[i] = states[pm_max_pools + old];
		else
			memset(&states[i], 0, sizeof(PmPoolState));
		set->accounts[i] = pm_account_for_pool(pools[i].name);
	}
	if (npools > 0)
		memcpy(set->pools, pools, npools * sizeof(PmPool));
	set->npools = npools;
	pg_write_barrier();
	pg_atomic_fetch_add_u32(&pm_shared->rules_version, 1);
	pg_atomic_fetch_add_u64(&pm_shared->generation, 1);
}

/*
 * Puts npools <= max_pools declarations in force, as the outcome of the load with
 * this ticket; does nothing when a later one was faster (a load outlives a
 * worker that ends, and may meet the next worker's). True when that changed
 * anything. A pool that had a state, by name, keeps it. Pools must be zeroed
 * where unset, because they are compared as memory. In the process that has read
 * them, from the table given. Takes lock.
 */
bool
pm_rules_publish(uint64 ticket, const PmPool *pools, int npools, int declared, Oid table)
{
	bool		changed = false;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	if (ticket >= pm_shared->load_done)
	{
		const PmRuleSet *set = pm_rules_in_force();

		changed = npools != set->npools ||
			(npools > 0 && memcmp(pools, set->pools, npools * sizeof(PmPool)) != 0);
		if (changed)
			replace_pools(pools, npools);
		pm_shared->load_done = ticket;
		pm_shared->load_result = PM_LOAD_OK;
		pm_shared->load_message[0] = '\0';
		pm_shared->load_declared = declared;
		pm_shared->load_database = MyDatabaseId;
		pm_shared->load_table = table;
	}
	LWLockRelease(pm_shared->lock);
	return changed;
}

/* Where the last good load read: what happens there concerns us. Takes lock. */
void
pm_load_watch(Oid *database, Oid *table)
{
	LWLockAcquire(pm_shared->lock, LW_SHARED);
	*database = pm_shared->load_database;
	*table = pm_shared->load_table;
	LWLockRelease(pm_shared->lock);
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

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	loaded = OidIsValid(pm_shared->load_database);
	result = pm_shared->load_result;
	strlcpy(message, pm_shared->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(pm_shared->lock);

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
		default:
			return "pool_monitor tries again every 10 seconds.";
	}
}

/* Takes lock. */
PmLoadState
pm_load_state(uint64 ticket)
{
	bool		done;
	PmLoadResult result;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	done = pm_shared->load_done >= ticket;
	result = pm_shared->load_result;
	LWLockRelease(pm_shared->lock);

	if (!done)
		return PM_DECLARATIONS_PENDING;
	return result == PM_LOAD_OK ? PM_DECLARATIONS_CURRENT : PM_DECLARATIONS_FAILED;
}

/* SetLatch on a latch whose worker is gone is harmless: PGPROCs stay. */
void
pm_wake_worker(void)
{
	Latch	   *latch = (Latch *) (uintptr_t) pg_atomic_read_u64(&pm_shared->worker_latch);

	if (latch != NULL)
		SetLatch(latch);
}

/* Asks the worker to read the declarations again. Cannot fail, takes no lock. */
void
pm_request_load(void)
{
	pg_atomic_fetch_add_u64(&pm_shared->load_requested, 1);
	pm_wake_worker();
}
