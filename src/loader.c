/*
 * loader.c
 *		Brings the declarations from pool_monitor.pools into shared memory.
 *
 * The worker has no database. When a load is asked for, it looks the database
 * up in the shared catalog and starts a short-lived process that connects
 * there, reads the table, publishes what it read and exits: so no database is
 * pinned for longer than that. The process writes the outcome into shared
 * memory and the worker logs it, once for each change, so that a cause that
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

#include <arpa/inet.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "clock.h"
#include "compat.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "guc.h"
#include "loader.h"
#include "postmaster/bgworker.h"
#include "schedule.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define RETRY_INTERVAL		10000	/* ms */
#define STANDBY_INTERVAL	10000	/* ms */
#define LOCK_TIMEOUT		"10s"

/* The worker's own; lost and begun anew with it. */
static BackgroundWorkerHandle *loader = NULL;
static uint64 loading;			/* the ticket that the loader deals with */
static int64 retry_at = 0;		/* ms, pm_monotonic_ms(); 0: not wanted */
static int64 last_start = 0;
static bool was_standby = false;
static PmLoadResult logged_result = PM_LOAD_NEVER;
static char logged_message[PM_LOAD_MESSAGE_LEN] = "";

/* Takes lock. A message is cut to fit; a later load's outcome is kept. */
static void
set_result(uint64 ticket, PmLoadResult result, const char *message)
{
	int			length = pg_mbcliplen(message, strlen(message), PM_LOAD_MESSAGE_LEN - 1);

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	if (ticket >= pm_shared->load_done)
	{
		pm_shared->load_result = result;
		memcpy(pm_shared->load_message, message, length);
		pm_shared->load_message[length] = '\0';
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
	retry_at = result == PM_LOAD_OK ? 0 : pm_monotonic_ms() + RETRY_INTERVAL;
}

static void
fail(PmLoadResult result, const char *message)
{
	set_result(loading, result, message);
	finish(result, message);
}

/*
 * The database's OID, or invalid where it does not exist or admits nobody.
 * A sequential scan, as the autovacuum launcher does it: without a database
 * the indexes of shared catalogs may not be there yet.
 */
static Oid
find_database(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			found = InvalidOid;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(database->datname), name) == 0 &&
			database->datallowconn && database->datconnlimit != DATCONNLIMIT_INVALID_DB)
			found = database->oid;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return found;
}

static void
start_loader(void)
{
	BackgroundWorker worker = {0};
	Oid			database;
	MemoryContext old;
	bool		started;

	/* a ticket of its own, so that an earlier outcome is not taken for its */
	loading = pg_atomic_add_fetch_u64(&pm_shared->load_requested, 1);
	last_start = pm_monotonic_ms();
	database = find_database(pm_database);
	if (!OidIsValid(database))
	{
		fail(PM_LOAD_NO_DATABASE,
			 psprintf("there is no database \"%s\" that accepts connections", pm_database));
		return;
	}

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt64GetDatum(loading);
	memcpy(worker.bgw_extra, &database, sizeof(database));
	strlcpy(worker.bgw_library_name, "pool_monitor", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pm_loader_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pool_monitor loader", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pool_monitor loader", BGW_MAXLEN);

	old = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &loader);
	MemoryContextSwitchTo(old);
	if (!started)
	{
		loader = NULL;
		fail(PM_LOAD_NO_WORKER_SLOT, "there is no free background worker slot");
	}
}

/* Has the loader ended? The postmaster wakes us when it does. */
static void
check_loader(void)
{
	pid_t		pid;
	bool		dealt_with;
	PmLoadResult result;
	char		message[PM_LOAD_MESSAGE_LEN];

	if (GetBackgroundWorkerPid(loader, &pid) != BGWH_STOPPED)
		return;
	pfree(loader);
	loader = NULL;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	dealt_with = pm_shared->load_done >= loading;
	result = pm_shared->load_result;
	strlcpy(message, pm_shared->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(pm_shared->lock);

	if (dealt_with)
		finish(result, message);
	else
		fail(PM_LOAD_FAILED, "the loader ended before it was done");
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
		promoted ||
		(standby && now - last_start >= STANDBY_INTERVAL);
}

void
pm_loader_tick(void)
{
	if (loader != NULL)
		check_loader();
	if (loader == NULL && load_wanted(pm_monotonic_ms()))
		start_loader();
}

/* ---- in the short-lived process ---- */

static const char *const declarations_query =
"SELECT name, application_name, datname, usename,"
" pg_catalog.host(client_addr), pg_catalog.masklen(client_addr)::text,"
" base::text, ceiling::text, budget::text, (pool_size = 0)::text,"
" (EXTRACT(EPOCH FROM pool_recycle) * 1000000)::bigint::text,"
" (EXTRACT(EPOCH FROM idle_limit) * 1000000)::bigint::text,"
" (EXTRACT(EPOCH FROM leak_threshold) * 1000000)::bigint::text,"
" (EXTRACT(EPOCH FROM recycle_grace) * 1000000)::bigint::text,"
" recycle_mode, echo_pool::text, recycle_window, shrink_idle::text,"
" servers::text, workers::text, pool_size::text, max_overflow::text, pre_ping::text,"
" (EXTRACT(EPOCH FROM pool_timeout) * 1000000)::bigint::text"
" FROM pool_monitor.pools ORDER BY priority, name COLLATE pg_catalog.\"C\"";

/* Columns of the query above. */
enum
{
	COL_NAME = 1, COL_APPLICATION_NAME, COL_DATNAME, COL_USENAME,
	COL_NETWORK, COL_NETWORK_BITS,
	COL_BASE, COL_CEILING, COL_BUDGET, COL_GROWS_FROM_ZERO,
	COL_POOL_RECYCLE, COL_IDLE_LIMIT, COL_LEAK_THRESHOLD, COL_RECYCLE_GRACE,
	COL_RECYCLE_MODE, COL_ECHO_POOL, COL_RECYCLE_WINDOW, COL_SHRINK_IDLE,
	COL_SERVERS, COL_WORKERS, COL_POOL_SIZE, COL_MAX_OVERFLOW, COL_PRE_PING,
	COL_POOL_TIMEOUT
};

/* A pattern that is NULL or "%" has no say. */
static void
compile_pattern(const char *value, char *pattern, bool *any)
{
	*any = value == NULL || strcmp(value, "%") == 0;
	if (!*any)
		strlcpy(pattern, value, PM_PATTERN_LEN);
}

static void
compile_network(PmPool *pool, const char *address, const char *bits)
{
	pool->any_client_addr = address == NULL;
	if (address == NULL)
		return;
	pool->network_bits = pg_strtoint32(bits);
	if (inet_pton(AF_INET, address, pool->network.bytes) == 1)
		pool->network.family = 4;
	else if (inet_pton(AF_INET6, address, pool->network.bytes) == 1)
		pool->network.family = 6;
	else
		elog(ERROR, "unexpected address \"%s\" in pool_monitor.pools", address);
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

/*
 * The table's constraint has seen to it that it can be read, but its time zone may
 * have gone since, with the files of another machine or version. Then the window
 * is shut, and all else is in force.
 */
static void
compile_window(PmPool *pool, const char *value)
{
	const char *wrong = value ? pm_window_parse(value, &pool->recycle_window) : NULL;

	if (wrong != NULL && !is_in_force(pool->name, &pool->recycle_window))
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recycle_window \"%s\" of pool \"%s\" stays shut: %s", value, pool->name, wrong)));
}

static int64
to_number(const char *value, int64 null_value)
{
	return value == NULL ? null_value : pg_strtoint64(value);
}

static PmRecycleMode
to_mode(const char *value)
{
	if (strcmp(value, "terminate") == 0)
		return PM_RECYCLE_TERMINATE;
	return strcmp(value, "report") == 0 ? PM_RECYCLE_REPORT : PM_RECYCLE_OFF;
}

/* The pool must be zeroed. */
static void
compile_pool(PmPool *pool, HeapTuple tuple, TupleDesc desc)
{
#define VALUE(column) SPI_getvalue(tuple, desc, column)
	strlcpy(pool->name, VALUE(COL_NAME), PM_NAME_LEN);
	compile_pattern(VALUE(COL_APPLICATION_NAME), pool->application_name, &pool->any_application_name);
	compile_pattern(VALUE(COL_DATNAME), pool->datname, &pool->any_datname);
	compile_pattern(VALUE(COL_USENAME), pool->usename, &pool->any_usename);
	compile_network(pool, VALUE(COL_NETWORK), VALUE(COL_NETWORK_BITS));
	pool->servers = to_number(VALUE(COL_SERVERS), 0);
	pool->workers = to_number(VALUE(COL_WORKERS), 0);
	pool->pool_size = to_number(VALUE(COL_POOL_SIZE), 0);
	pool->max_overflow = to_number(VALUE(COL_MAX_OVERFLOW), 0);
	pool->base = to_number(VALUE(COL_BASE), 0);
	pool->ceiling = to_number(VALUE(COL_CEILING), -1);
	pool->budget = to_number(VALUE(COL_BUDGET), pool->ceiling);
	pool->grows_from_zero = strcmp(VALUE(COL_GROWS_FROM_ZERO), "true") == 0;
	pool->pool_timeout = to_number(VALUE(COL_POOL_TIMEOUT), 0);
	pool->pool_recycle = to_number(VALUE(COL_POOL_RECYCLE), -1);
	pool->idle_limit = to_number(VALUE(COL_IDLE_LIMIT), 0);
	pool->leak_threshold = to_number(VALUE(COL_LEAK_THRESHOLD), 0);
	pool->recycle_grace = to_number(VALUE(COL_RECYCLE_GRACE), 0);
	pool->recycle_mode = to_mode(VALUE(COL_RECYCLE_MODE));
	compile_window(pool, VALUE(COL_RECYCLE_WINDOW));
	pool->shrink_idle = strcmp(VALUE(COL_SHRINK_IDLE), "true") == 0;
	pool->pre_ping = strcmp(VALUE(COL_PRE_PING), "true") == 0;
	pool->echo = strcmp(VALUE(COL_ECHO_POOL), "true") == 0;
#undef VALUE
}

/*
 * The table that declares, opened and locked, or NULL when the extension is not
 * here. Only the extension's own table counts, whatever has its name.
 */
static Relation
open_table(void)
{
	Oid			extension = get_extension_oid("pool_monitor", true);
	Oid			schema = get_namespace_oid("pool_monitor", true);
	Oid			table;

	if (!OidIsValid(extension) || !OidIsValid(schema))
		return NULL;
	table = get_relname_relid("pools", schema);
	if (!OidIsValid(table) || getExtensionOfObject(RelationRelationId, table) != extension)
		return NULL;
	return try_table_open(table, AccessShareLock);
}

/*
 * Reads the table as its owner, who may not be a superuser: nothing that the
 * owner attached to it runs with more rights than his.
 */
static PmPool *
read_table(Relation table, int *npools, int *declared)
{
	MemoryContext caller = CurrentMemoryContext;
	PmPool	   *pools = palloc0(sizeof(PmPool) * pm_max_pools);
	Oid			save_user;
	int			save_context;

	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(table->rd_rel->relowner, save_context | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(declarations_query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pool_monitor.pools");

	*declared = (int) SPI_processed;
	*npools = Min(*declared, pm_max_pools);
	for (int i = 0; i < *npools; i++)
		compile_pool(&pools[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);

	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
	MemoryContextSwitchTo(caller);
	return pools;
}

static void
publish(uint64 ticket, const PmPool *pools, int npools, int declared)
{
	if (!pm_rules_publish(ticket, pools, npools, declared, MyDatabaseId))
		return;
	ereport(LOG,
			(errmsg("pool_monitor loaded the declared pools from database \"%s\": %d",
					pm_database, npools)));
	pm_event(PM_EVENT_DECLARATIONS_LOADED, NULL, false, 0,
			 "{\"declared\": %d, \"in_force\": %d}", declared, npools);
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
no_table(uint64 ticket)
{
	bool		was_here;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	was_here = pm_shared->load_database == MyDatabaseId;
	LWLockRelease(pm_shared->lock);
	if (was_here)
		publish(ticket, NULL, 0, 0);
	set_result(ticket, PM_LOAD_NO_EXTENSION,
			   OidIsValid(get_extension_oid("pool_monitor", true)) ?
			   psprintf("in database \"%s\" no table pool_monitor.pools belongs to the extension", pm_database) :
			   psprintf("database \"%s\" has no extension pool_monitor", pm_database));
}

static void
load(uint64 ticket)
{
	Relation	table;
	PmPool	   *pools;
	int			npools;
	int			declared;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();

	/*
	 * first the lock, then the snapshot: who made us wait has changed the
	 * table
	 */
	table = open_table();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (table != NULL)
	{
		pools = read_table(table, &npools, &declared);
		table_close(table, AccessShareLock);
		publish(ticket, pools, npools, declared);
	}
	else
		no_table(ticket);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Exits with 0 whatever came of it, because the outcome is in shared memory and
 * the postmaster would log every other exit. A FATAL error (the database was
 * dropped this instant) is noticed by the worker.
 */
void
pm_loader_main(Datum arg)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		ticket = DatumGetUInt64(arg);
	Oid			database;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(database));
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);

	PG_TRY();
	{
		load(ticket);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		set_result(ticket, PM_LOAD_FAILED, error->message);
	}
	PG_END_TRY();
	proc_exit(0);
}
