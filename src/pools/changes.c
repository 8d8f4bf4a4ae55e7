/*
 * changes.c
 *		Notices that a transaction changed the declarations, and asks for a
 *		load when, and only when, it commits.
 *
 * A trigger on pool_monitor.pools notes every change of a row (and asks acting.c
 * whether this user may make it). What else decides what the declarations are is
 * noted through object_access_hook: that the extension is created or dropped, the
 * table or its triggers altered, the database dropped, renamed or closed. Only what
 * happens in, or to, the database of the declarations: retirement waits for a load
 * that is under way, and nobody else may make it wait. The transaction callback is
 * registered in the first transaction of a backend that has something to note; all
 * others pay nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_trigger.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pools/acting.h"
#include "pools/changes.h"
#include "pools/declared.h"
#include "pools/columns.h"
#include "pools/inserted.h"
#include "pools/reserves.h"
#include "pools/table.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static bool changed = false;	/* in this transaction */
static bool maybe_changed = false;	/* likewise: an extension was created */
static bool warned = false;		/* likewise, of the wrong place */
static object_access_hook_type prev_object_access_hook = NULL;

/*
 * COMMIT PREPARED may run in any session, at any time; there is nothing there
 * that would tell us. LISTEN refuses PREPARE for the same reason.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	pm_inserted_forget();
	pm_reserves_forget();
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (changed)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has changed pool_monitor.pools")));
			break;
		case XACT_EVENT_COMMIT:
			if ((changed || maybe_changed) && pm_preloaded)
				pm_request_load();
			changed = maybe_changed = warned = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			changed = maybe_changed = warned = false;
			break;
		default:
			break;
	}
}

/* Notes one of these for the rest of the transaction. */
static void
note(bool *what)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
	}
	*what = true;
}

/* Is this the database of the declarations? */
static bool
in_declared_database(void)
{
	char	   *here = get_database_name(MyDatabaseId);

	return here != NULL && strcmp(here, pm_database) == 0;
}

/* Declarations are allowed anywhere, but have no effect everywhere: say so. */
static void
warn_of_place(void)
{
	char	   *here;

	if (!pm_preloaded)
	{
		ereport(WARNING,
				(errmsg("declared pools have no effect before pool_monitor is loaded via \"shared_preload_libraries\""),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
		return;
	}
	here = get_database_name(MyDatabaseId);
	ereport(WARNING,
			(errmsg("changes of pools in database \"%s\" have no effect", here ? here : "?"),
			 errdetail("Declarations are read from database \"%s\" only.", pm_database),
			 errhint("Declare the pools there, or change \"pool_monitor.database\".")));
}

/*
 * Whoever may insert need not be allowed to read: it is a plain scan. Rows that are
 * too many push others out of force, so who may not end sessions may not do that.
 */
static void
check_number(const TriggerData *trigger)
{
	bool		may_signal = has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND);
	int64		declared;

	if (!may_signal)
		pm_acting_lock_number(trigger->tg_relation);
	declared = pm_table_count_now(trigger->tg_relation);
	if (declared <= pm_max_pools)
		return;
	ereport(may_signal ? WARNING : ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%lld pools are declared, but there is room for %d: the last ones in matching order have no effect",
					(long long) declared, pm_max_pools),
			 errhint("Raise \"pool_monitor.max_pools\" and restart the server.")));
}

/*
 * Does an UPDATE leave alone all that is read? Then it needs no load, for whose time
 * nobody is retired.
 */
static bool
changes_nothing(const TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		pm_columns_alike(RelationGetDescr(trigger->tg_relation), trigger->tg_trigtuple, trigger->tg_newtuple);
}

/* Asked once for each transaction: the rest of its changes comes along. */
static void
note_change(void)
{
	if (changed || warned)
		return;
	if (pm_preloaded && in_declared_database())
		note(&changed);
	else
	{
		note(&warned);
		warn_of_place();
	}
}

/* For what is said at the statement's end. */
static void
note_row(const TriggerData *trigger)
{
	pm_reserves_note_row(trigger);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		pm_inserted_note(trigger->tg_relation, trigger->tg_trigtuple);
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && !changes_nothing(trigger))
		pm_inserted_note(trigger->tg_relation, trigger->tg_newtuple);
}

PG_FUNCTION_INFO_V1(pm_pools_changed);

/*
 * The trigger: for each changed row (logical replication fires row triggers
 * only), after each INSERT and UPDATE statement, and before TRUNCATE.
 */
Datum
pm_pools_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "pools_changed")));
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		pm_acting_check_row(trigger);
		if (!pm_preloaded || !changes_nothing(trigger))
			note_change();
		if (changed)
			note_row(trigger);
	}
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		pm_acting_check_truncate(trigger);
		note_change();
	}
	else if (changed)
	{
		if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
			check_number(trigger);
		pm_reserves_check(trigger->tg_relation);
		pm_inserted_lint(trigger->tg_relation);
	}
	return PointerGetDatum(NULL);
}

static bool
copy_table(HeapTuple tuple, void *arg)
{
	*(Oid *) arg = ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid;
	return false;
}

/* The table of a trigger, also of one that is made or dropped just now. */
static Oid
table_of_trigger(Oid trigger)
{
	Oid			table = InvalidOid;

	(void) pm_catalog_row(TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, trigger, SnapshotSelf,
						  copy_table, &table);
	return table;
}

static bool
is_our_extension(Oid extension)
{
	char	   *name = pm_extension_name(extension);

	return name != NULL && strcmp(name, "pool_monitor") == 0 && in_declared_database();
}

static bool
look_at_database(HeapTuple tuple, void *arg)
{
	*(bool *) arg = pm_database_serves((Form_pg_database) GETSTRUCT(tuple));
	return false;
}

/* Can the declarations still be read there, after what was just done to it? */
static bool
database_serves(Oid database)
{
	bool		serves = false;

	(void) pm_catalog_row(DatabaseRelationId, DatabaseOidIndexId, Anum_pg_database_oid, database, SnapshotSelf,
						  look_at_database, &serves);
	return serves;
}

/*
 * Does it change what the declarations are? (A database that gets the name of
 * pool_monitor.database is found by the next try: the last load has failed.)
 */
static bool
concerns_us(ObjectAccessType access, Oid class, Oid object)
{
	Oid			database;
	Oid			table;

	if (class == ExtensionRelationId)
		return is_our_extension(object);
	if (access == OAT_POST_CREATE)
		return false;
	pm_load_watch(&database, &table);
	if (class == DatabaseRelationId)
		return object == database && (access == OAT_DROP || !database_serves(object));
	if (MyDatabaseId != database || !OidIsValid(table))
		return false;
	return object == table || (class == TriggerRelationId && table_of_trigger(object) == table);
}

/*
 * CREATE EXTENSION notes less, so that it can be PREPAREd: a load that is missed
 * after COMMIT PREPARED comes with the next try, because a database without the
 * extension is tried again and again.
 */
static pg_noinline void
watch_change(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);

	if (classId != ExtensionRelationId && classId != DatabaseRelationId &&
		classId != RelationRelationId && classId != TriggerRelationId)
		return;
	if (concerns_us(access, classId, objectId))
		note(access == OAT_POST_CREATE ? &maybe_changed : &changed);
}

/* Comes with each call of a function, too, which changes nothing. */
static void
watch_objects(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (access == OAT_POST_CREATE || access == OAT_DROP || access == OAT_POST_ALTER)
		watch_change(access, classId, objectId, subId, arg);
	else if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);
}

void
pm_changes_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = watch_objects;
}
