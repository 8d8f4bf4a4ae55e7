/*
 * errands.c
 *		What needs a database, and who does it: the worker's side.
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
 * An errand that is overdue is ended by the worker. It signals under lock: a process
 * whose pid is there has not given it up, so it exists.
 */
#include "postgres.h"

#include <signal.h>

#include "accounts/account.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "storage/latch.h"
#include "worker/errands.h"

#define OVERDUE			15000	/* ms; the process's own lock_timeout is less */
#define TERMINATE_AGAIN	10000	/* ms */
#define MISSING			5000	/* ms; a successor needs some of them */
#define SUCCESSOR		50		/* ms; between two looks for it */

PmErrandProcess *pm_errands = NULL;

/* The worker's own. */
static int64 watching_since = 0;	/* ms, monotonic */
static uint64 last_errand = 0;	/* that it asked for */
static uint64 ended_errand = 0; /* that it ended last, and when it last tried */
static int64 ended_at = 0;
static bool told = false;		/* of it, or of errands that came just before */

static Size
errands_size(void)
{
	return sizeof(PmErrandProcess);
}

static void
attach_errands(void *memory)
{
	pm_errands = memory;
}

static void
init_errands(void)
{
	pg_atomic_init_u32(&pm_errands->words.orderly_exits, 0);
}

const PmSection pm_errands_section = {
	.name = "errands",
	.size = errands_size,
	.attach = attach_errands,
	.init = init_errands,
};

static PmErrandStage
stage_now(uint64 *incarnation, int64 *since)
{
	PmErrandStage stage;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	stage = pm_errands->now.stage;
	*incarnation = pm_errands->now.incarnation;
	*since = pm_errands->now.since;
	LWLockRelease(&pm_accounts->lock.lock);
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

	if (watching_since == 0)
		watching_since = pm_monotonic_ms();
	return stage_now(&incarnation, &since) == PM_ERRANDS_ABSENT &&
		pm_monotonic_ms() - Max(since, watching_since) > MISSING;
}

/* Asks the process that waits. Returns the errand's number; 0 when none waits. */
uint64
pm_errand_begin(PmErrandKind kind, Oid database, uint64 ticket)
{
	PmErrands  *errands = &pm_errands->now;
	Latch	   *latch = NULL;
	uint64		errand = 0;

	if (last_errand != ended_errand)
		told = false;

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
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
	LWLockRelease(&pm_accounts->lock.lock);
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

/* For the log. */
const char *
pm_errand_text(PmErrandKind kind)
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
	PmErrands  *errands = &pm_errands->now;
	int64		now = pm_monotonic_ms();
	uint64		errand = 0;
	PmErrandKind kind = PM_ERRAND_LOAD;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	if ((errands->stage == PM_ERRANDS_ASKED || errands->stage == PM_ERRANDS_RUNNING) &&
		now - errands->since > OVERDUE &&
		(errands->incarnation != ended_errand || now - ended_at > TERMINATE_AGAIN))
	{
		errand = errands->incarnation;
		kind = errands->kind;
		kill(errands->pid, SIGTERM);
	}
	LWLockRelease(&pm_accounts->lock.lock);

	if (errand == 0)
		return;
	if (!told)
		ereport(LOG,
				(errmsg("pool_monitor ends its process \"%s\": %s has taken longer than %d seconds",
						PM_ERRANDS_NAME, pm_errand_text(kind), OVERDUE / 1000)));
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

	end_overdue();
	if (stage_now(&incarnation, &since) != PM_ERRANDS_ABSENT || pm_errands_missing())
		return OVERDUE;
	return pm_wake_postmaster() ? SUCCESSOR : OVERDUE;
}
