/*
 * errands.c
 *		The process that does what needs a database.
 *
 * The worker has no database, so that it pins none. What needs one (reading the
 * declarations, NOTIFY) is the errand of a process that is there from the
 * server's start on and waits, without a database too. Asked, it connects, does
 * that one errand and exits; the postmaster starts its successor at once. So an
 * errand never has to find a free worker slot: any role can take all that there
 * are with parallel queries.
 *
 *	ABSENT ------> WAITING ------> ASKED ------> RUNNING
 *	  ^  [process]        [worker]      [process]   |
 *	  +---------------------------------------------+
 *		[process, in before_shmem_exit, from whatever stage]
 *
 * All of PmErrands is under lock. Each process has a number of its own, its
 * incarnation, which is the number of its errand too: the errand is over when
 * the process with this number is gone.
 *
 * Whoever owns the database decides on settings in it (ALTER DATABASE ... SET).
 * The process sets what matters to it before it connects, by PGC_S_OVERRIDE, which
 * the database's settings do not reach. An errand that is overdue all the same is
 * ended by the worker. It signals under lock: a process whose pid is there has not
 * given it up, so it exists.
 *
 * It exits with 1, because the postmaster never starts a worker again that exits
 * with 0; logins.c keeps the postmaster's line about that out of the log, but not
 * the one about an exit without callbacks. What goes wrong in an errand is told by
 * its ERROR or FATAL, and by the worker.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "libpq/pqsignal.h"
#include "pools/loader.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
#include "worker/errands.h"
#include "worker/notifier.h"

#define OVERDUE			15000	/* ms; lock_timeout below is less */
#define TERMINATE_AGAIN	10000	/* ms */
#define MISSING			5000	/* ms; a successor needs some of them */
#define SUCCESSOR		50		/* ms; between two looks for it */

/* Settings that an owner of the database could turn against us. */
static const struct
{
	const char *name;
	const char *value;
}			overrides[] =

{
	{"search_path", "pg_catalog, pg_temp"},
	{"role", "none"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"lock_timeout", "10s"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"transaction_timeout", "0"},	/* 17 and later */
	{"synchronous_commit", "local"},
	{"exit_on_error", "off"},
};

bool		pm_on_errand = false;

/* The worker's own. */
static int64 watching_since = 0;	/* ms, monotonic */
static uint64 last_errand = 0;	/* that it asked for */
static uint64 ended_errand = 0; /* that it ended last, and when it last tried */
static int64 ended_at = 0;
static bool told = false;		/* of it, or of errands that came just before */

/* ---- in the worker ---- */

static PmErrandStage
stage_now(uint64 *incarnation, int64 *since)
{
	PmErrandStage stage;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	stage = pm_shared->errands.stage;
	*incarnation = pm_shared->errands.incarnation;
	*since = pm_shared->errands.since;
	LWLockRelease(pm_shared->lock);
	return stage;
}

/* Is a process there that waits for an errand? It may be gone in a moment. */
bool
pm_errands_ready(void)
{
	uint64		incarnation;
	int64		since;

	return stage_now(&incarnation, &since) == PM_ERRANDS_WAITING;
}

/*
 * Has there been no process for longer than it takes to start one? At the server's
 * start the two begin at the same time, so not before this one has watched for so
 * long.
 */
bool
pm_errands_missing(void)
{
	uint64		incarnation;
	int64		since;

	return stage_now(&incarnation, &since) == PM_ERRANDS_ABSENT &&
		pm_monotonic_ms() - Max(since, watching_since) > MISSING;
}

/* Asks the process that waits. Returns the errand's number; 0 when none waits. */
uint64
pm_errand_begin(PmErrandKind kind, Oid database, uint64 ticket)
{
	PmErrands  *errands = &pm_shared->errands;
	Latch	   *latch = NULL;
	uint64		errand = 0;

	if (last_errand != ended_errand)
		told = false;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	if (errands->stage == PM_ERRANDS_WAITING)
	{
		errands->stage = PM_ERRANDS_ASKED;
		errands->kind = kind;
		errands->database = database;
		errands->ticket = ticket;
		errands->since = pm_monotonic_ms();
		errand = errands->incarnation;
		latch = errands->latch;
	}
	LWLockRelease(pm_shared->lock);
	if (latch != NULL)
		SetLatch(latch);
	last_errand = errand;
	return errand;
}

bool
pm_errand_is_over(uint64 errand)
{
	uint64		incarnation;
	int64		since;

	return stage_now(&incarnation, &since) == PM_ERRANDS_ABSENT || incarnation != errand;
}

/* Did we end it because it took too long? */
bool
pm_errand_was_overdue(uint64 errand)
{
	return errand == ended_errand;
}

static const char *
errand_text(PmErrandKind kind)
{
	return kind == PM_ERRAND_LOAD ? "loading the declared pools" : "telling those who LISTEN of events";
}

/*
 * Ends an errand that is overdue, also one that a former worker had asked for.
 * Says so once, not again when the next try ends like this.
 */
static void
end_overdue(void)
{
	PmErrands  *errands = &pm_shared->errands;
	int64		now = pm_monotonic_ms();
	uint64		errand = 0;
	PmErrandKind kind = PM_ERRAND_LOAD;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	if ((errands->stage == PM_ERRANDS_ASKED || errands->stage == PM_ERRANDS_RUNNING) &&
		now - errands->since > OVERDUE &&
		(errands->incarnation != ended_errand || now - ended_at > TERMINATE_AGAIN))
	{
		errand = errands->incarnation;
		kind = errands->kind;
		kill(errands->pid, SIGTERM);
	}
	LWLockRelease(pm_shared->lock);

	if (errand == 0)
		return;
	if (!told)
		ereport(LOG,
				(errmsg("pool_monitor ends its process \"%s\": %s has taken longer than %d seconds",
						PM_ERRANDS_NAME, errand_text(kind), OVERDUE / 1000)));
	told = true;
	ended_errand = errand;
	ended_at = now;
}

/*
 * Called by the worker at each turn of its loop. Returns in how many ms it wants
 * to be called again.
 *
 * Before 16 a postmaster that hears of an exit just before it goes to sleep starts
 * no successor until something wakes it, which may be a minute later: so it is
 * woken, until the successor is there or has been missing for long.
 */
int64
pm_errands_tick(void)
{
	uint64		incarnation;
	int64		since;

	if (watching_since == 0)
		watching_since = pm_monotonic_ms();
	end_overdue();
	if (stage_now(&incarnation, &since) != PM_ERRANDS_ABSENT || pm_errands_missing())
		return OVERDUE;
	pm_wake_postmaster();
	return SUCCESSOR;
}

/* ---- the process ---- */

static void
enter_stage(PmErrandStage stage)
{
	PmErrands  *errands = &pm_shared->errands;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	errands->stage = stage;
	if (stage == PM_ERRANDS_WAITING)
	{
		errands->incarnation++;
		errands->pid = MyProcPid;
		errands->latch = MyLatch;
	}
	if (stage == PM_ERRANDS_ABSENT)
	{
		errands->pid = 0;
		errands->latch = NULL;
	}
	if (stage != PM_ERRANDS_RUNNING)
		errands->since = pm_monotonic_ms();
	LWLockRelease(pm_shared->lock);
	pm_wake_worker();
}

/* before_shmem_exit: an LWLock needs a PGPROC. */
static void
leave(int code, Datum arg)
{
	/* after an error some may still be held, and enter_stage() takes one */
	LWLockReleaseAll();
	enter_stage(PM_ERRANDS_ABSENT);
	pg_atomic_fetch_add_u32(&pm_shared->errand_words.orderly_exits, 1);
}

static bool
take_errand(PmErrands *taken)
{
	LWLockAcquire(pm_shared->lock, LW_SHARED);
	*taken = pm_shared->errands;
	LWLockRelease(pm_shared->lock);
	return taken->stage == PM_ERRANDS_ASKED;
}

static void
wait_for_errand(PmErrands *taken)
{
	while (!take_errand(taken))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	enter_stage(PM_ERRANDS_RUNNING);
	pm_on_errand = true;
	pm_shared->errand_words.fatal[0] = '\0';
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Before it connects: what the database's own settings say comes too late. */
static void
override_settings(void)
{
	for (size_t i = 0; i < lengthof(overrides); i++)
	{
		if (GetConfigOption(overrides[i].name, true, false) != NULL)
			SetConfigOption(overrides[i].name, overrides[i].value, PGC_SUSET, PGC_S_OVERRIDE);
	}
}

/*
 * The errand itself: with the message of an error, or NULL. Raises nothing but FATAL
 * (this process is terminated), which the worker notices.
 */
static char *
run_errand(const PmErrands *errand)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *volatile failure = NULL;

	PG_TRY();
	{
		if (errand->kind == PM_ERRAND_LOAD)
			pm_load(errand->ticket);
		else
			pm_notify();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		failure = CopyErrorData()->message;
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	return failure;
}

void
pm_errands_main(Datum arg)
{
	PmErrands	errand;
	char	   *failure;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);	/* lock_timeout needs it */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	before_shmem_exit(leave, (Datum) 0);
	enter_stage(PM_ERRANDS_WAITING);
	wait_for_errand(&errand);

	ereport(DEBUG1, (errmsg_internal("pool_monitor errand: %s", errand_text(errand.kind))));
	override_settings();
	BackgroundWorkerInitializeConnectionByOid(errand.database, InvalidOid, 0);
	failure = run_errand(&errand);
	if (errand.kind == PM_ERRAND_NOTIFY)
		pm_notify_done(failure);
	else if (failure != NULL)
		pm_load_failed(errand.ticket, failure);
	proc_exit(1);
}

void
pm_errands_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = 0;	/* s */
	strlcpy(worker.bgw_library_name, "pool_monitor", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pm_errands_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, PM_ERRANDS_NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_type, PM_ERRANDS_NAME, BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
