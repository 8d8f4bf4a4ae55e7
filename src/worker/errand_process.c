/*
 * errand_process.c
 *		The process that does what needs a database; see errands.c.
 *
 * Whoever owns the database decides on settings in it (ALTER DATABASE ... SET).
 * The process sets what matters to it before it connects, by PGC_S_OVERRIDE, which
 * the database's settings do not reach.
 *
 * It exits with 1, because the postmaster never starts a worker again that exits
 * with 0; last_words.c keeps the postmaster's line about that out of the log, but not
 * the one about an exit without callbacks. What goes wrong in an errand is told by
 * its ERROR or FATAL, and by the worker.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "accounts/account.h"
#include "base/clock.h"
#include "base/wake.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
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
	{"debug_print_plan", "off"},
	{"force_parallel_mode", "off"},
	{"debug_parallel_query", "off"},	/* its name from 16 on */
};

bool		pm_on_errand = false;

static void
enter_stage(PmErrandStage stage)
{
	PmErrands  *errands = &pm_errands->now;

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
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
	LWLockRelease(&pm_accounts->lock.lock);
	pm_wake_worker();
}

/* before_shmem_exit: an LWLock needs a PGPROC. */
static void
leave(int code, Datum arg)
{
	/* after an error some may still be held, and enter_stage() takes one */
	LWLockReleaseAll();
	enter_stage(PM_ERRANDS_ABSENT);
	pg_atomic_fetch_add_u32(&pm_errands->words.orderly_exits, 1);
}

static bool
take_errand(PmErrands *taken)
{
	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	*taken = pm_errands->now;
	LWLockRelease(&pm_accounts->lock.lock);
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
	pm_errands->words.fatal[0] = '\0';
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
 * The errand itself: with its error, or NULL. Raises nothing but FATAL
 * (this process is terminated), which the worker notices.
 */
static ErrorData *
run_errand(const PmErrands *errand)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile failure = NULL;

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
		failure = CopyErrorData();
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
	ErrorData  *failure;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, StatementCancelHandler);	/* lock_timeout needs it */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	before_shmem_exit(leave, (Datum) 0);
	enter_stage(PM_ERRANDS_WAITING);
	wait_for_errand(&errand);

	ereport(DEBUG1, (errmsg_internal("pool_monitor errand: %s", pm_errand_text(errand.kind))));
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
