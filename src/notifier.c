/*
 * notifier.c
 *		NOTIFY pool_monitor for each event, as a JSON object.
 *
 * NOTIFY needs a database and a transaction, and the worker has neither: so it
 * starts a short-lived process that connects to pool_monitor.database, tells of
 * what is new and exits. Only when somebody there LISTENs, to whatever channel
 * (the slots know no more), and at most once in NOTIFY_INTERVAL. A standby has no NOTIFY. What
 * happened while nobody listened is told to nobody, as with any NOTIFY; it is in
 * the view events.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "account.h"
#include "clock.h"
#include "commands/async.h"
#include "compat.h"
#include "events.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "notifier.h"
#include "postmaster/bgworker.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define NOTIFY_INTERVAL 500		/* ms */
#define RETRY_INTERVAL	10000	/* ms; when the process could not be started */

/* The worker's own. */
static BackgroundWorkerHandle *notifier = NULL;
static uint64 told_before = 0;	/* notified_seq when it was started */
static bool told_of_no_slot = false;
static int64 not_before = 0;	/* ms, monotonic */

/* Does a session LISTEN in the database of the declarations? */
static bool
anybody_listens(void)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		PmSlot	   *slot = &pm_shared->slots[i];

		if (pg_atomic_read_u32(&slot->listening) != 0 && strcmp(slot->datname, pm_database) == 0)
			return true;
	}
	return false;
}

static void
start_notifier(void)
{
	BackgroundWorker worker = {0};
	MemoryContext old;
	bool		started;

	told_before = pg_atomic_read_u64(&pm_shared->events->notified_seq);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "pool_monitor", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pm_notifier_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pool_monitor notifier", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pool_monitor notifier", BGW_MAXLEN);

	old = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &notifier);
	MemoryContextSwitchTo(old);
	if (!started)
	{
		notifier = NULL;
		if (!told_of_no_slot)
			ereport(LOG,
					(errmsg("pool_monitor could not tell those who LISTEN of events: there is no free background worker slot"),
					 errhint("Raise \"max_worker_processes\" and restart the server.")));
	}
	told_of_no_slot = !started;
	not_before = pm_monotonic_ms() + (started ? NOTIFY_INTERVAL : RETRY_INTERVAL);
}

void
pm_notifier_tick(void)
{
	PmEvents   *events = pm_shared->events;
	uint64		last = pg_atomic_read_u64(&events->last_seq);
	pid_t		pid;

	if (notifier != NULL)
	{
		if (GetBackgroundWorkerPid(notifier, &pid) != BGWH_STOPPED)
			return;
		pfree(notifier);
		notifier = NULL;
		/* it failed, and the server log says why */
		if (pg_atomic_read_u64(&events->notified_seq) == told_before)
			not_before = pm_monotonic_ms() + RETRY_INTERVAL;
	}
	if (last == pg_atomic_read_u64(&events->notified_seq))
		return;
	if (!pm_notify_events || RecoveryInProgress() || !anybody_listens())
		pg_atomic_write_u64(&events->notified_seq, last);
	else if (pm_monotonic_ms() >= not_before)
		start_notifier();
}

/* ---- in the short-lived process ---- */

/*
 * Anybody who may connect may LISTEN: what the detail says of a single session is
 * for those who may read the view.
 */
static bool
tells_of_a_session(const PmEvent *event)
{
	return event->kind == PM_EVENT_RETIRED || event->kind == PM_EVENT_DECLINED ||
		event->kind == PM_EVENT_LEAK_SUSPECT;
}

static void
notify(const PmEvent *event)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"seq\": " UINT64_FORMAT ", \"at\": ", event->seq);
	escape_json(&json, timestamptz_to_str(event->at));
	appendStringInfo(&json, ", \"event\": \"%s\", \"pool\": ", pm_event_name(event->kind));
	if (event->pool[0] == '\0' || event->discovered)
		appendStringInfoString(&json, "null");
	else
		escape_json(&json, event->pool);
	if (event->discovered)
	{
		appendStringInfoString(&json, ", \"application_name\": ");
		escape_json(&json, event->pool);
	}
	if (event->times > 1)
		appendStringInfo(&json, ", \"times\": %u", event->times);
	if (tells_of_a_session(event))
		appendStringInfoChar(&json, '}');
	else
		appendStringInfo(&json, ", \"detail\": %s}", event->detail);
	Async_Notify("pool_monitor", json.data);
	pfree(json.data);
}

/*
 * Exits with 0, because the postmaster would log every other exit. What an
 * error (the queue of notifications is full) kept from being told is tried
 * again.
 */
void
pm_notifier_main(Datum arg)
{
	PmEvents   *events = pm_shared->events;
	uint64		last;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(pm_database, NULL, 0);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	last = pg_atomic_read_u64(&events->last_seq);
	for (uint64 seq = Max(pg_atomic_read_u64(&events->notified_seq) + 1, pm_event_oldest()); seq <= last; seq++)
	{
		PmEvent		event;

		if (pm_event_read(seq, &event))
			notify(&event);
	}
	CommitTransactionCommand();
	pm_account_raise(&events->notified_seq, last);
	proc_exit(0);
}
