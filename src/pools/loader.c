/*
 * loader.c
 *		Brings the declarations from pool_monitor.pools into shared memory: in the
 *		process that has a database, for the worker's loading.c.
 */
#include "postgres.h"

#include <limits.h>

#include "access/table.h"
#include "access/xact.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "events/events.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "pools/loader.h"
#include "pools/publish.h"
#include "pools/rows.h"
#include "pools/rules.h"
#include "pools/table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

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
	PmNameIndex index;

	pm_name_index_init(&index, collection->nkept);
	for (int i = 0; i < collection->nkept; i++)
	{
		const char *name = collection->kept[i]->pool.name;

		if (pm_name_index_find(&index, name) >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("pool \"%s\" is declared twice", name)));
		pm_name_index_add(&index, name, i);
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
	if (!pm_event(PM_EVENT_DECLARATIONS_LOADED, NULL, 0,
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
	pm_load_result(ticket, PM_LOAD_NO_EXTENSION,
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
pm_load_failed(uint64 ticket, const ErrorData *error)
{
	pm_load_result(ticket, error->sqlerrcode == PM_ERRCODE_OWNER ? PM_LOAD_WRONG_OWNER : PM_LOAD_FAILED, error->message);
}
