/*
 * loading.c
 *		When the declarations are brought into shared memory.
 *
 * The worker has no database. When a load is asked for, it looks the database
 * up in the shared catalog and sends the process of errands.c there, which
 * reads the table (loader.c), publishes what it read and exits: so no
 * database is pinned for longer than that. The process writes the outcome into
 * shared memory and the worker logs it, once for each change, so that a cause that
 * lasts for days fills no log. Sampling never waits for any of this.
 *
 *	asked for		load_requested is raised: start-up, commit of a change,
 *					reload(), SIGHUP, and on a standby, where the table changes
 *					without a commit that we see, every STANDBY_INTERVAL
 *	dealt with		load_done follows, after success and failure alike
 *	failed			tried again after RETRY_INTERVAL, and less and less often when the
 *					process ends without an outcome; whatever was loaded before
 *					stays in force
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "catalog/pg_database.h"
#include "pools/declared.h"
#include "pools/table.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/errands.h"
#include "worker/loading.h"

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

/* Logs how the last load ended, unless that is what was logged last. */
static void
log_result(PmLoadResult result, const char *message)
{
	Oid			database;
	Oid			table;

	if (result == logged_result && strcmp(message, logged_message) == 0)
		return;
	logged_result = result;
	strlcpy(logged_message, message, PM_LOAD_MESSAGE_LEN);
	pm_load_watch(&database, &table);
	if (result != PM_LOAD_OK)
		ereport(LOG,
				(errmsg("pool_monitor could not load the declared pools: %s", message),
				 errdetail(OidIsValid(table) ?
						   "What was loaded before stays in force; no session is retired until a load succeeds." :
						   "No pool is in force until a load succeeds."),
				 errhint("%s", pm_load_hint(result))));
}

/* It has ended like this; when it is to be tried again, in ms. */
static void
finish(PmLoadResult result, const char *message, int64 interval)
{
	log_result(result, message);
	retry_at = result == PM_LOAD_OK ? 0 : pm_monotonic_ms() + interval;
	was_missing = result == PM_LOAD_NO_WORKER_SLOT;
}

static void
fail(PmLoadResult result, const char *message, int64 interval)
{
	pm_load_result(loading, result, message);
	finish(result, message, interval);
}

/*
 * False when somebody holds a lock on the catalog: the sampling does not wait for
 * anybody. Else the OID of the database that declares, or invalid where it does not
 * exist or admits nobody. For the worker: in a transaction of its own.
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
	loading = pg_atomic_add_fetch_u64(&pm_declarations->load_requested, 1);
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
	fail(PM_LOAD_FAILED, "somebody holds a lock on pg_database", RETRY_INTERVAL);
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
			 psprintf("there is no database \"%s\" that accepts connections", pm_database), RETRY_INTERVAL);
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
	const char *last_words = pm_errands->words.fatal;
	const char *message = "the loader ended before it was done";

	if (overdue)
		message = "it took too long";
	else if (last_words[0] != '\0')
		message = psprintf("the loader ended before it was done: %s", last_words);
	fail(PM_LOAD_FAILED, message, retry_interval);
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

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	dealt_with = pm_declarations->load_done >= loading;
	result = pm_declarations->load_result;
	strlcpy(message, pm_declarations->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(&pm_accounts->lock.lock);

	if (dealt_with)
	{
		retry_interval = RETRY_INTERVAL;
		finish(result, message, RETRY_INTERVAL);
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
	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	done = pm_declarations->load_done;
	LWLockRelease(&pm_accounts->lock.lock);

	return done < pg_atomic_read_u64(&pm_declarations->load_requested) ||
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
pm_loading_tick(void)
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
		fail(PM_LOAD_NO_WORKER_SLOT, "its process \"" PM_ERRANDS_NAME "\" is not running", RETRY_INTERVAL);
	}
}
