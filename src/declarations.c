/*
 * declarations.c
 *		Notices that a transaction changed the declarations, and asks for a
 *		load when, and only when, it commits.
 *
 * A trigger on pool_monitor.pools notes every change of a row. Creating or
 * dropping the extension is noted through object_access_hook. The transaction
 * callback is registered in the first transaction of a backend that has
 * something to note; all others pay nothing.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "compat.h"
#include "declarations.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "guc.h"
#include "shmem.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

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
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (changed)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has changed pool_monitor.pools")));
			break;
		case XACT_EVENT_COMMIT:
			if ((changed || maybe_changed) && pm_shared != NULL)
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

/* Declarations are allowed anywhere, but have no effect everywhere: say so. */
static void
warn_of_place(void)
{
	char	   *here;

	if (warned)
		return;
	warned = true;
	if (pm_shared == NULL)
	{
		ereport(WARNING,
				(errmsg("declared pools have no effect before pool_monitor is loaded via \"shared_preload_libraries\""),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
		return;
	}
	here = get_database_name(MyDatabaseId);
	if (here == NULL || strcmp(here, pm_database) != 0)
		ereport(WARNING,
				(errmsg("changes of pools in database \"%s\" have no effect", here ? here : "?"),
				 errdetail("Declarations are read from database \"%s\" only.", pm_database),
				 errhint("Declare the pools there, or change \"pool_monitor.database\".")));
}

/* As the table's owner: whoever may insert need not be allowed to read. */
static int64
count_declared(Oid owner)
{
	int64		declared;
	bool		isnull;
	Oid			save_user;
	int			save_context;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT pg_catalog.count(*) FROM pool_monitor.pools", false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not count pool_monitor.pools");
	declared = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
	return declared;
}

static void
warn_of_number(Oid owner)
{
	int64		declared;

	if (pm_shared == NULL)
		return;
	declared = count_declared(owner);
	if (declared > pm_max_pools)
		ereport(WARNING,
				(errmsg("%lld pools are declared, but there is room for %d: the last ones in matching order have no effect",
						(long long) declared, pm_max_pools),
				 errhint("Raise \"pool_monitor.max_pools\" and restart the server.")));
}

PG_FUNCTION_INFO_V1(pm_check_schema);

/*
 * For the install script: CREATE EXTENSION takes a schema pool_monitor that
 * exists (pg_dump relies on it), but what somebody else has put there must not
 * be mixed with what the extension trusts. All that is in a schema depends on it;
 * so do the extension itself and this function. That schema is in search_path, so
 * every operator says where it comes from.
 */
Datum
pm_check_schema(PG_FUNCTION_ARGS)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT 1 FROM pg_catalog.pg_depend d"
					" WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid"
					" AND d.refobjid OPERATOR(pg_catalog.=) 'pool_monitor'::pg_catalog.regnamespace::pg_catalog.oid"
					" AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid"
					" AND NOT (d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid"
					" AND d.objid OPERATOR(pg_catalog.=) 'pool_monitor.check_schema()'::pg_catalog.regprocedure::pg_catalog.oid)",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into schema pool_monitor");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA),
				 errmsg("schema \"pool_monitor\" exists already and is not empty"),
				 errhint("Rename that schema, or drop what is in it, first.")));
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(pm_pools_changed);

/*
 * The trigger: for each changed row (logical replication fires row triggers
 * only), after each INSERT statement, and after TRUNCATE.
 */
Datum
pm_pools_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger", "pools_changed")));
	if (TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		if (changed)
			warn_of_number(trigger->tg_relation->rd_rel->relowner);
	}
	else
	{
		note(&changed);
		warn_of_place();
	}
	return PointerGetDatum(NULL);
}

/*
 * The new extension's row is not visible yet when it is created, so its name
 * cannot be asked: any creation counts, but keeps nobody from PREPARE. A load in
 * vain is harmless; one that is missed after COMMIT PREPARED comes with the next
 * try, because a database without the extension is tried again and again.
 */
static void
watch_objects(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, classId, objectId, subId, arg);

	if (classId != ExtensionRelationId)
		return;
	if (access == OAT_POST_CREATE)
		note(&maybe_changed);
	else if (access == OAT_DROP)
	{
		char	   *name = get_extension_name(objectId);

		if (name != NULL && strcmp(name, "pool_monitor") == 0)
			note(&changed);
	}
}

void
pm_declarations_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = watch_objects;
}
