/*
 * loader.c
 *		Brings the declarations from pool_monitor.pools into shared memory.
 *
 * The worker has no database. When a load is asked for, it looks the database
 * up in the shared catalog and sends the process of errands.c there, which
 * reads the table (table.c, rows.c), publishes what it read and exits: so no
 * database is pinned for longer than that. The process writes the outcome into
 * shared memory and the worker logs it, once for each change, so that a cause that
 * lasts for days fills no log. Sampling never waits for any of this.
 *
 *	asked for		load_requested is raised: start-up, commit of a change,
 *					reload(), SIGHUP, and on a standby, where the table changes
 *					without a commit that we see, every STANDBY_INTERVAL
 *	dealt with		load_done follows, after success and failure alike
 *	failed			tried again every RETRY_INTERVAL; whatever was loaded before
 *					stays in force
 */
#include "postgres.h"

#include <limits.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "catalog/pg_database.h"
#include "pools/loader.h"
#include "pools/rows.h"
#include "pools/table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/errands.h"

#define RETRY_INTERVAL		10000	/* ms */
#define LOCKED_FOR_LONG		10000	/* ms */
#define LONGEST_RETRY		300000	/* ms; when the process ends, again and
									 * again */
#define STANDBY_INTERVAL	10000	/* ms */

/* The worker's own; lost and begun anew with it. */
static uint64 errand = 0;		/* under way; 0: none */
static uint64 loading;			/* the ticket that it deals with */
static int64 retry_interval = RETRY_INTERVAL;	/* ms */
static int64 locked_since = 0;	/* ms, monotonic: pg_database; 0: it is not */
static bool was_missing = false;	/* the process */
static int64 retry_at = 0;		/* ms, pm_monotonic_ms(); 0: not wanted */
static int64 last_start = 0;
static bool was_standby = false;
static PmLoadResult logged_result = PM_LOAD_NEVER;
static char logged_message[PM_LOAD_MESSAGE_LEN] = "";

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
static void
set_result(uint64 ticket, PmLoadResult result, const char *message)
{
	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	if (ticket >= pm_shared->load_done)
	{
		pm_shared->load_result = result;
		copy_message(pm_shared->load_message, message);
		pm_shared->load_done = ticket;
	}
	LWLockRelease(pm_shared->lock);
}

/* Logs how the last load ended, unless that is what was logged last. */
static void
log_result(PmLoadResult result, const char *message)
{
	if (result == logged_result && strcmp(message, logged_message) == 0)
		return;
	logged_result = result;
	strlcpy(logged_message, message, PM_LOAD_MESSAGE_LEN);
	if (result != PM_LOAD_OK)
		ereport(LOG,
				(errmsg("pool_monitor could not load the declared pools: %s", message),
				 errdetail("What was loaded before stays in force; no session is retired until a load succeeds."),
				 errhint("%s", pm_load_hint(result))));
}

static void
finish(PmLoadResult result, const char *message)
{
	log_result(result, message);
	retry_at = result == PM_LOAD_OK ? 0 : pm_monotonic_ms() + retry_interval;
	was_missing = result == PM_LOAD_NO_WORKER_SLOT;
}

static void
fail(PmLoadResult result, const char *message)
{
	set_result(loading, result, message);
	finish(result, message);
}

/* Is it the one that declares, and does it admit anybody? */
bool
pm_database_serves(Form_pg_database database)
{
	return strcmp(NameStr(database->datname), pm_database) == 0 &&
		database->datallowconn && database->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

/*
 * False when somebody holds a lock on the catalog: the sampling does not wait for
 * anybody. Else the OID of the database that declares, or invalid where it does not exist or admits nobody. For
 * the worker: in a transaction of its own.
 *
 * A sequential scan, as the autovacuum launcher does it: without a database
 * the indexes of shared catalogs may not be there yet.
 */
bool
pm_find_database(Oid *found)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		free;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	*found = InvalidOid;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	free = ConditionalLockRelationOid(DatabaseRelationId, AccessShareLock);
	if (free)
	{
		(void) GetTransactionSnapshot();
		rel = table_open(DatabaseRelationId, NoLock);
		scan = table_beginscan_catalog(rel, 0, NULL);
		while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
		{
			Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

			if (pm_database_serves(database))
				*found = database->oid;
		}
		table_endscan(scan);
		table_close(rel, NoLock);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return free;
}

/* A ticket of its own, so that an earlier outcome is not taken for its. */
static void
take_ticket(void)
{
	loading = pg_atomic_add_fetch_u64(&pm_shared->load_requested, 1);
	last_start = pm_monotonic_ms();
}

/* Somebody holds a lock on pg_database; first for a moment, then it is an outcome. */
static void
wait_for_catalog(void)
{
	int64		now = pm_monotonic_ms();

	if (locked_since == 0)
		locked_since = now;
	if (now - locked_since < LOCKED_FOR_LONG)
		return;
	locked_since = 0;
	take_ticket();
	fail(PM_LOAD_FAILED, "somebody holds a lock on pg_database");
}

static void
start_load(void)
{
	Oid			database;

	if (!pm_find_database(&database))
	{
		wait_for_catalog();
		return;
	}
	locked_since = 0;
	take_ticket();
	if (!OidIsValid(database))
		fail(PM_LOAD_NO_DATABASE,
			 psprintf("there is no database \"%s\" that accepts connections", pm_database));
	else
		errand = pm_errand_begin(PM_ERRAND_LOAD, database, loading);
}

/*
 * The process has ended before it had an outcome. Each time it has logged why, so
 * the tries come further and further apart.
 */
static void
fail_without_outcome(bool overdue)
{
	const char *last_words = pm_shared->errand_words.fatal;

	if (overdue)
		fail(PM_LOAD_FAILED, "it took too long");
	else if (last_words[0] != '\0')
		fail(PM_LOAD_FAILED, psprintf("the loader ended before it was done: %s", last_words));
	else
		fail(PM_LOAD_FAILED, "the loader ended before it was done");
	retry_interval = Min(retry_interval * 2, LONGEST_RETRY);
}

/* Has the load ended? The process wakes us when it exits. */
static void
check_load(void)
{
	bool		overdue = pm_errand_was_overdue(errand);
	bool		dealt_with;
	PmLoadResult result;
	char		message[PM_LOAD_MESSAGE_LEN];

	if (!pm_errand_is_over(errand))
		return;
	errand = 0;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	dealt_with = pm_shared->load_done >= loading;
	result = pm_shared->load_result;
	strlcpy(message, pm_shared->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(pm_shared->lock);

	if (dealt_with)
	{
		retry_interval = RETRY_INTERVAL;
		finish(result, message);
	}
	else
		fail_without_outcome(overdue);
}

static bool
load_wanted(int64 now)
{
	bool		standby = RecoveryInProgress();
	bool		promoted = was_standby && !standby;
	uint64		done;

	was_standby = standby;
	LWLockAcquire(pm_shared->lock, LW_SHARED);
	done = pm_shared->load_done;
	LWLockRelease(pm_shared->lock);

	return done < pg_atomic_read_u64(&pm_shared->load_requested) ||
		(retry_at != 0 && now >= retry_at) ||
		(was_missing && pm_errands_ready()) ||
		promoted ||
		(standby && now - last_start >= STANDBY_INTERVAL);
}

/*
 * While the process is busy with another errand, or its successor is being
 * started, the load waits.
 */
void
pm_loader_tick(void)
{
	if (errand != 0)
		check_load();
	if (errand != 0 || !load_wanted(pm_monotonic_ms()))
		return;
	if (pm_errands_ready())
		start_load();
	else if (pm_errands_missing() && (retry_at == 0 || pm_monotonic_ms() >= retry_at))
	{
		take_ticket();
		fail(PM_LOAD_NO_WORKER_SLOT, "its process \"" PM_ERRANDS_NAME "\" is not running");
	}
}

/* ---- in the process that has a database ---- */

/* The first ones in matching order, as many as there is room for. */
typedef struct Collection
{
	PmColumns	columns;
	PmDeclaration **kept;		/* sorted */
	int			nkept;
	int64		declared;
	PmDeclaration *spare;
	MemoryContext row;			/* what is allocated while one row is read */
} Collection;

/* Puts the spare one where it belongs; what no longer fits is spare then. */
static void
keep(Collection *collection)
{
	PmDeclaration *new = collection->spare;
	PmDeclaration **kept = collection->kept;
	int			at = collection->nkept;

	while (at > 0 && pm_declaration_compare(new, kept[at - 1]) < 0)
		at--;
	if (at == pm_max_pools)
		return;
	if (collection->nkept < pm_max_pools)
	{
		collection->nkept++;
		collection->spare = palloc(sizeof(PmDeclaration));
	}
	else
		collection->spare = kept[pm_max_pools - 1];
	memmove(&kept[at + 1], &kept[at], (collection->nkept - at - 1) * sizeof(PmDeclaration *));
	kept[at] = new;
}

static bool
collect(HeapTuple tuple, void *arg)
{
	Collection *collection = arg;
	MemoryContext old = MemoryContextSwitchTo(collection->row);

	pm_row_read(&collection->columns, tuple, collection->spare);
	MemoryContextSwitchTo(old);
	MemoryContextReset(collection->row);
	collection->declared++;
	keep(collection);
	return true;
}

/* The primary key may be gone. */
static void
check_names(const Collection *collection)
{
	for (int i = 0; i < collection->nkept; i++)
	{
		for (int j = 0; j < i; j++)
		{
			if (strcmp(collection->kept[i]->pool.name, collection->kept[j]->pool.name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_UNIQUE_VIOLATION),
						 errmsg("pool \"%s\" is declared twice", collection->kept[i]->pool.name)));
		}
	}
}

/* Was it so the last time? Then it was warned of. */
static bool
is_in_force(const char *name, const PmWindow *window)
{
	const PmRules *rules = pm_rules_current();

	for (int i = 0; i < rules->npools; i++)
	{
		const PmWindow *other = &rules->pools[i].recycle_window;

		if (strcmp(rules->pools[i].name, name) == 0)
			return other->from == window->from && other->to == window->to && strcmp(other->zone, window->zone) == 0;
	}
	return false;
}

static void
warn_of_zone(const PmDeclaration *declaration)
{
	const PmPool *pool = &declaration->pool;

	if (declaration->zone_is_unknown && !is_in_force(pool->name, &pool->recycle_window))
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the recycle_window of pool \"%s\" stays shut: there is no time zone \"%s\"",
						pool->name, pool->recycle_window.zone)));
}

static PmPool *
read_table(Relation table, Snapshot snapshot, int *npools, int *declared)
{
	Collection	collection = {0};
	PmPool	   *pools = palloc0(sizeof(PmPool) * pm_max_pools);

	pm_columns_find(&collection.columns, RelationGetDescr(table));
	collection.kept = palloc(sizeof(PmDeclaration *) * pm_max_pools);
	collection.spare = palloc(sizeof(PmDeclaration));
	collection.row = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor row", ALLOCSET_DEFAULT_SIZES);
	pm_table_scan(table, snapshot, collect, &collection);
	check_names(&collection);

	for (int i = 0; i < collection.nkept; i++)
	{
		warn_of_zone(collection.kept[i]);
		pools[i] = collection.kept[i]->pool;
	}
	*npools = collection.nkept;
	*declared = (int) Min(collection.declared, INT_MAX);
	return pools;
}

static void
publish(uint64 ticket, const PmPool *pools, int npools, int declared, Oid table)
{
	if (!pm_rules_publish(ticket, pools, npools, declared, table))
		return;
	/* somebody who changes them all the time is put together in the log, too */
	if (!pm_event(PM_EVENT_DECLARATIONS_LOADED, NULL, false, 0,
				  "{\"declared\": %d, \"in_force\": %d}", declared, npools))
		return;
	ereport(LOG,
			(errmsg("pool_monitor loaded the declared pools from database \"%s\": %d",
					pm_database, npools)));
	if (declared > npools)
		ereport(LOG,
				(errmsg("%d pools are declared, but there is room for %d: the last ones in matching order have no effect",
						declared, npools),
				 errhint("Raise \"pool_monitor.max_pools\" and restart the server.")));
}

/*
 * The extension is gone from where the declarations came from: so are they. In
 * a database that was never read, it is a setting that points to the wrong
 * place, and what was loaded before stays.
 */
static void
no_table(uint64 ticket, PmTableResult why)
{
	Oid			database;
	Oid			table;

	pm_load_watch(&database, &table);
	if (database == MyDatabaseId && why == PM_TABLE_NO_EXTENSION)
		publish(ticket, NULL, 0, 0, InvalidOid);
	set_result(ticket, PM_LOAD_NO_EXTENSION,
			   why == PM_TABLE_MISSING ?
			   psprintf("in database \"%s\" no table pool_monitor.pools belongs to the extension", pm_database) :
			   psprintf("database \"%s\" has no extension pool_monitor", pm_database));
}

/* The whole errand; the outcome is in shared memory. */
void
pm_load(uint64 ticket)
{
	Relation	table;
	PmTableResult found;
	PmPool	   *pools;
	int			npools;
	int			declared;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();

	/*
	 * first the lock, then the snapshot: who made us wait has changed the
	 * table
	 */
	found = pm_table_open(&table);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (found == PM_TABLE_OPEN)
	{
		pm_table_check_triggers(table);
		pools = read_table(table, GetActiveSnapshot(), &npools, &declared);
		publish(ticket, pools, npools, declared, RelationGetRelid(table));
		table_close(table, AccessShareLock);
	}
	else
		no_table(ticket, found);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* An error has ended it. */
void
pm_load_failed(uint64 ticket, const char *message)
{
	set_result(ticket, PM_LOAD_FAILED, message);
}
