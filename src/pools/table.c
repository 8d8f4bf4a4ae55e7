/*
 * table.c
 *		The table that declares.
 *
 * It is read with the server's own rights, so nothing that anybody could have
 * made is run or trusted: no SQL, no name that a search path resolves, no
 * operator, function, trigger, policy, view or index of the table. The extension
 * is found by its name, which is unique in a database and which only a superuser
 * can create; the table by its membership in the extension, whatever else has its
 * name. It must be an ordinary table that belongs to the extension's owner, a
 * superuser: only then is nobody else able to change what it is. Its rows are read
 * by a plain scan of the heap; what is in them is checked in rows.c.
 *
 * It is vetted after it is locked. What kind of table it is, its columns and its
 * owner hold until the lock is given back; the rest (its triggers, its schema's
 * owner) may change meanwhile, which has the table loaded again, or does no harm
 * because only the heap is read.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/compat.h"
#include "base/guc.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "pools/table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define TABLE_NAME "pools"

/*
 * Hands the row of a catalog that has this OID to the callback; false when there is
 * none. A snapshot of NULL is the catalog's own; SnapshotSelf sees what the command
 * under way has done, but may miss a row that somebody else changes this instant.
 */
bool
pm_catalog_row(Oid catalog, Oid index, AttrNumber oid_column, Oid object, Snapshot snapshot,
			   PmRowCallback callback, void *arg)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(rel, index, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		(void) callback(tuple, arg);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

static bool
copy_extension(HeapTuple tuple, void *arg)
{
	*(FormData_pg_extension *) arg = *(Form_pg_extension) GETSTRUCT(tuple);
	return false;
}

static bool
read_extension(Oid extension, Snapshot snapshot, FormData_pg_extension *to)
{
	return pm_catalog_row(ExtensionRelationId, ExtensionOidIndexId, Anum_pg_extension_oid, extension,
						  snapshot, copy_extension, to);
}

/* Its name, also while it is being created; NULL when there is none. */
char *
pm_extension_name(Oid extension)
{
	FormData_pg_extension row;

	return read_extension(extension, SnapshotSelf, &row) ? pstrdup(NameStr(row.extname)) : NULL;
}

static bool
is_called(Oid relation, const char *wanted)
{
	char	   *name = get_rel_name(relation);

	return name != NULL && strcmp(name, wanted) == 0;
}

/*
 * The member of the extension that has the table's name; invalid when none has.
 * Only members are looked at: whose schema it is in does not matter here.
 */
static Oid
find_member(Oid extension)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;
	int			nfound = 0;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->classid != RelationRelationId || depend->deptype != DEPENDENCY_EXTENSION ||
			!is_called(depend->objid, TABLE_NAME))
			continue;
		found = depend->objid;
		nfound++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (nfound > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("extension pool_monitor has more than one relation \"%s\"", TABLE_NAME)));
	return found;
}

static Oid
owner_of_schema(Oid schema)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
refuse(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("table pool_monitor.pools cannot be trusted: %s", why)));
}

/* Of errors with this code declared.c says what to do about it. */
static void
refuse_owner(const char *why)
{
	ereport(ERROR,
			(errcode(PM_ERRCODE_OWNER),
			 errmsg("table pool_monitor.pools cannot be trusted: %s", why)));
}

/* The owner is the extension's; the role may have been dropped and be no name. */
static void
check_owner(Relation table, Oid owner)
{
	const char *name = GetUserNameFromId(owner, true);

	if (!superuser_arg(owner))
		refuse_owner(psprintf("role \"%s\", which owns the extension, is not a superuser", name ? name : "?"));
	if (table->rd_rel->relowner != owner)
		refuse_owner(psprintf("it is not owned by \"%s\", as the extension is", name ? name : "?"));
	if (owner_of_schema(table->rd_rel->relnamespace) != owner)
		refuse_owner(psprintf("its schema is not owned by \"%s\", as the extension is", name ? name : "?"));
}

/* Caller holds a lock on it. */
static void
check_kind(Relation table)
{
	Form_pg_class class = table->rd_rel;

	if (class->relkind != RELKIND_RELATION)
		refuse("it is not an ordinary table");
	if (class->relpersistence != RELPERSISTENCE_PERMANENT)
		refuse("it is not a permanent table");
	if (class->relam != HEAP_TABLE_AM_OID)
		refuse("its access method is not heap");
	if (class->relispartition || has_superclass(RelationGetRelid(table)))
		refuse("it inherits from another table");
	if (find_inheritance_children(RelationGetRelid(table), NoLock) != NIL)
		refuse("another table inherits from it");
}

/*
 * Opens the table with AccessShareLock, in a transaction. Raises an error that
 * says why when there is one that cannot be trusted.
 */
PmTableResult
pm_table_open(Relation *table)
{
	Oid			extension = get_extension_oid("pool_monitor", true);
	Oid			member;
	FormData_pg_extension row;

	if (!OidIsValid(extension))
		return PM_TABLE_NO_EXTENSION;
	member = find_member(extension);
	*table = OidIsValid(member) ? try_relation_open(member, AccessShareLock) : NULL;
	if (*table == NULL)
		return PM_TABLE_MISSING;

	/* again, now that nothing of it can change any more */
	if (getExtensionOfObject(RelationRelationId, member) != extension ||
		!is_called(member, TABLE_NAME) || !read_extension(extension, NULL, &row))
	{
		relation_close(*table, AccessShareLock);
		return PM_TABLE_MISSING;
	}
	check_kind(*table);
	check_owner(*table, row.extowner);
	return PM_TABLE_OPEN;
}

/* What the install script makes of them. */
static const struct
{
	const char *name;
	int16		type;
}			expected_triggers[] =

{
	{"pools_changed", TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE},
	{"pools_counted", TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE},
	{"pools_truncated", TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_TRUNCATE},
};

/* Is it the extension's own trigger function, in C? */
static bool
is_our_function(Oid function, Oid extension)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		isnull = true;
	Datum		symbol;
	bool		ours = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	symbol = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	if (!isnull && ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId)
		ours = strcmp(TextDatumGetCString(symbol), "pm_pools_changed") == 0 &&
			getExtensionOfObject(ProcedureRelationId, function) == extension;
	ReleaseSysCache(tuple);
	return ours;
}

static void
check_trigger(Relation table, Oid extension, const char *name, int16 type)
{
	const TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (strcmp(trigger->tgname, name) != 0)
			continue;
		if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			refuse(psprintf("its trigger \"%s\" is not enabled as ENABLE ALWAYS TRIGGER, so changes go unnoticed", name));
		if (trigger->tgtype != type || trigger->tgnattr != 0 || trigger->tgqual != NULL ||
			!is_our_function(trigger->tgfoid, extension))
			refuse(psprintf("its trigger \"%s\" is not the one that the extension made, so changes go unnoticed", name));
		return;
	}
	refuse(psprintf("its trigger \"%s\" is missing, so changes go unnoticed", name));
}

/* Without its triggers nobody would hear of a change, nor of who may make it. */
void
pm_table_check_triggers(Relation table)
{
	Oid			extension = getExtensionOfObject(RelationRelationId, RelationGetRelid(table));

	for (size_t i = 0; i < lengthof(expected_triggers); i++)
		check_trigger(table, extension, expected_triggers[i].name, expected_triggers[i].type);
}

void
pm_table_scan(Relation table, Snapshot snapshot, PmRowCallback callback, void *arg)
{
	TableScanDesc scan = pm_begin_scan(table, snapshot);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!callback(tuple, arg))
			break;
	}
	table_endscan(scan);
}

/*
 * As it is at this instant, what this transaction has done so far included. For
 * triggers, whose caller holds a lock on the table.
 */
void
pm_table_scan_now(Relation table, PmRowCallback callback, void *arg)
{
	Snapshot	snapshot;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	pm_table_scan(table, snapshot, callback, arg);
	UnregisterSnapshot(snapshot);
}

static bool
count_row(HeapTuple tuple, void *arg)
{
	(*(int64 *) arg)++;
	return true;
}

/* Likewise, how many rows there are. */
int64
pm_table_count_now(Relation table)
{
	int64		rows = 0;

	pm_table_scan_now(table, count_row, &rows);
	return rows;
}

/* Is it the one that declares, and does it admit anybody? */
bool
pm_database_serves(Form_pg_database database)
{
	return strcmp(NameStr(database->datname), pm_database) == 0 &&
		database->datallowconn && database->datconnlimit != DATCONNLIMIT_INVALID_DB;
}
