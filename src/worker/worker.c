/*
 * worker.c
 *		The background worker: its loop, and nothing else.
 *
 * It connects to no database: it reads the backend status array and shared
 * memory, and looks up shared catalogs in transactions of an instant. An ERROR in one
 * of its tasks puts that off; any other ends it with exit code 1 and the postmaster
 * starts it again after RESTART_SECONDS; what must last is in shared memory. It runs on a hot
 * standby too. Times come from the monotonic clock, so a clock that is set
 * neither stops nor hurries the sampling.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/wake.h"
#include "libpq/pqsignal.h"
#include "pgstat.h"
#include "pools/declared.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "protected/names.h"
#include "retire/cleanup.h"
#include "retire/questions.h"
#include "retire/yield.h"
#include "statfile/statfile.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "worker/errands.h"
#include "worker/guarding.h"
#include "worker/loading.h"
#include "worker/notifier.h"
#include "worker/sampler.h"
#include "worker/worker.h"

#define RESTART_SECONDS		5
#define LOADER_INTERVAL		1000	/* ms; how often pm_loading_tick() wants
									 * to be called */

#define BEHIND_INTERVAL		10	/* ms; between two looks while declarations
								 * wait for one */
#define TASK_RETRY		10000	/* ms */

static bool roles_to_check = true;	/* do the protected ones exist? */

static void
forget_latch(int code, Datum arg)
{
	pm_wake_me(NULL);
}

/*
 * Nothing here is a query that could be canceled: a pg_cancel_backend() that
 * reached the worker would end it, and nobody would watch for RESTART_SECONDS.
 */
static void
start(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, PG_SIG_IGN);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	before_shmem_exit(forget_latch, (Datum) 0);
	pm_wake_me(MyLatch);
}

/* So that the server log of any start says that it is there, and of which version. */
static void
tell_of_start(void)
{
	ereport(LOG,
			(errmsg("pool_monitor %s watches: every %d ms, up to %d pools and %d undeclared applications, declared in database \"%s\"",
					PM_VERSION, pm_sample_interval, pm_max_pools, pm_max_applications, pm_database),
			 errdetail("Its shared memory has %zu kB, of which what is not used yet costs nothing.", pm_shmem_size() / 1024)));
}

static void
reload_settings(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	roles_to_check = true;
	pm_request_load();
}

/*
 * Is it time? Then *next moves on by the interval, from now if that was missed.
 * A shorter interval, after a reload, takes effect at once.
 */
static bool
due(int64 *next, int interval, int64 now)
{
	*next = Min(*next, now + interval);
	if (now < *next)
		return false;
	*next = Max(*next + interval, now + 1);
	return true;
}

/* ---- what may fail ---- */

/*
 * Looking things up in catalogs fails when the lock table is full, say, which any
 * role can see to. That must not end the worker again and again, and the sampling
 * with it: the task is put off.
 */
typedef struct Task
{
	const char *what;			/* for the log */
	void		(*run) (void);
	int64		not_before;		/* ms, monotonic */
	char		told[256];		/* the last error; empty: none */
} Task;

static int64 timeout;			/* ms, until the next turn */

static void
take_answers(void)
{
	timeout = Min(timeout, pm_cleanup_answers());
}

static void
let_in(void)
{
	timeout = Min(timeout, pm_yield_tick());
}

static void
clean_up(void)
{
	timeout = Min(timeout, pm_cleanup_tick());
}

static void
check_roles(void)
{
	if (!roles_to_check)
		return;
	roles_to_check = !pm_protected_check_names();
}

/* In the order in which they are done, after each sample that is due. */
static Task tasks[] = {
	{"loading the declared pools", pm_loading_tick},
	{"telling those who LISTEN of events", pm_notifier_tick},
	{"looking for the protected roles", check_roles},
	{"recording what came of retirements", take_answers},
	{"looking who gives way to a login", let_in},
	{"looking whom to retire", clean_up},
};

/* Says once why; what it held is given back by the abort, or was none. */
static void
put_off(Task *task, MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	LWLockReleaseAll();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	if (strncmp(task->told, error->message, sizeof(task->told) - 1) != 0)
		ereport(LOG,
				(errmsg("pool_monitor puts off %s for %d seconds: %s", task->what, TASK_RETRY / 1000, error->message)));
	strlcpy(task->told, error->message, sizeof(task->told));
	task->not_before = pm_monotonic_ms() + TASK_RETRY;
}

static void
attempt(Task *task)
{
	MemoryContext context = CurrentMemoryContext;

	if (pm_monotonic_ms() < task->not_before)
		return;
	PG_TRY();
	{
		task->run();
		task->told[0] = '\0';
	}
	PG_CATCH();
	{
		put_off(task, context);
	}
	PG_END_TRY();
}

void
pm_worker_main(Datum arg)
{
	MemoryContext tick;
	int64		next_sample = 0;
	uint32		wait_event;

	start();
	tell_of_start();
	wait_event = pm_wait_event("PoolMonitorMain");
	tick = AllocSetContextCreate(TopMemoryContext, "pool_monitor tick", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(tick);
	pm_statfile_load();
	pm_questions_start();
	pm_yield_start();

	for (;;)
	{
		MemoryContextSwitchTo(tick);
		MemoryContextReset(tick);
		CHECK_FOR_INTERRUPTS();
		reload_settings();

		/*
		 * the guards do not wait for the next sample to go by what is
		 * declared
		 */
		if (due(&next_sample, pm_sample_interval, pm_monotonic_ms()) || pm_guarding_is_behind())
			pm_sample();
		pm_statfile_tick();
		timeout = LOADER_INTERVAL;
		for (size_t i = 0; i < lengthof(tasks); i++)
			attempt(&tasks[i]);

		timeout = Min(timeout, pm_errands_tick());
		if (pm_guarding_is_behind())
			timeout = Min(timeout, BEHIND_INTERVAL);
		timeout = Min(timeout, next_sample - pm_monotonic_ms());
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) Max(timeout, 0), wait_event);
		ResetLatch(MyLatch);
	}
}

void
pm_worker_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "pool_monitor", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pm_worker_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pool_monitor", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pool_monitor", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
