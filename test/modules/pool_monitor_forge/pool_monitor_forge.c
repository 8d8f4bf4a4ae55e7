/*
 * pool_monitor_forge.c
 *		Puts into shared memory what would take an hour, or a defect, for the tests of what
 *		follows from it.
 *
 * It knows the layout from the headers of the same tree; of the library's functions it
 * uses those alone that give it the memory.
 */
#include "postgres.h"

#include "access/xact.h"
#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "client/reports.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "postmaster/bgworker.h"
#include "retire/pace.h"
#include "sessions/slot.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

PG_FUNCTION_INFO_V1(pm_forge_hour_paused);
PG_FUNCTION_INFO_V1(pm_forge_slot);
PG_FUNCTION_INFO_V1(pm_forge_slot_asked);
PG_FUNCTION_INFO_V1(pm_forge_age);
PG_FUNCTION_INFO_V1(pm_forge_reset);
PG_FUNCTION_INFO_V1(pm_forge_silence);
PG_FUNCTION_INFO_V1(pm_forge_session_age);
PG_FUNCTION_INFO_V1(pm_forge_places);
PG_FUNCTION_INFO_V1(pm_forge_guards_opened);
PG_FUNCTION_INFO_V1(pm_forge_guards_age);
PG_FUNCTION_INFO_V1(pm_forge_no_memory);

#define LONGEST_WAIT	60000	/* ms */

static void *
memory_of(const char *function)
{
	return ((void *(*) (void)) load_external_function("$libdir/pool_monitor", function, true, NULL)) ();
}

/* forge_hour_paused(ms bigint): for so long it has paused in the hour that begins now. */
Datum
pm_forge_hour_paused(PG_FUNCTION_ARGS)
{
	PmRetirement *retirement = memory_of("pm_retirement_memory");

	retirement->refusals.hour_begin = pm_monotonic_ms();
	retirement->refusals.hour_paused = PG_GETARG_INT64(0);
	PG_RETURN_VOID();
}

/* The slot of that process bears another pid. Has there been such a slot? */
static bool
forge_slot(PmSlots *slots, uint32 pid, uint32 to)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		uint32		expected = pid;

		if (pg_atomic_compare_exchange_u32(&slots->all[i].pid, &expected, to))
			return true;
	}
	return false;
}

/* forge_slot(pid int, to int): see above. */
Datum
pm_forge_slot(PG_FUNCTION_ARGS)
{
	PmSlots    *slots = memory_of("pm_slots_memory");

	PG_RETURN_BOOL(forge_slot(slots, (uint32) PG_GETARG_INT32(0), (uint32) PG_GETARG_INT32(1)));
}

static bool
waits_for(int pid, const LWLock *lock)
{
	PGPROC	   *proc = BackendPidGetProc(pid);

	return proc != NULL && *(volatile uint32 *) &proc->wait_event_info == (PG_WAIT_LWLOCK | lock->tranche);
}

/*
 * forge_slot_asked(asker int, pid int, to int): the same when that asker has chosen whom
 * to ask, and is about to put its first question: it waits for ask_lock, which is held
 * meanwhile (wait event: Extension).
 */
Datum
pm_forge_slot_asked(PG_FUNCTION_ARGS)
{
	PmSlots    *slots = memory_of("pm_slots_memory");
	LWLock	   *lock = &slots->ask_lock.lock;
	bool		forged = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int waited = 0; waited < LONGEST_WAIT && !forged; waited += 10)
	{
		if (waits_for(PG_GETARG_INT32(0), lock))
			forged = forge_slot(slots, (uint32) PG_GETARG_INT32(1), (uint32) PG_GETARG_INT32(2));
		else
			(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10, PG_WAIT_EXTENSION);
	}
	LWLockRelease(lock);
	PG_RETURN_BOOL(forged);
}

/* forge_age(us bigint): the session that asks began so much earlier. */
Datum
pm_forge_age(PG_FUNCTION_ARGS)
{
	PmSlots    *slots = memory_of("pm_slots_memory");

	for (int i = 0; i < MaxBackends; i++)
	{
		PmSlot	   *slot = &slots->all[i];

		if (pg_atomic_read_u32(&slot->pid) != (uint32) MyProcPid)
			continue;
		PGSTAT_BEGIN_WRITE_ACTIVITY(MyBEEntry);
		MyBEEntry->st_proc_start_timestamp -= PG_GETARG_INT64(0);
		slot->backend_start = MyBEEntry->st_proc_start_timestamp;
		slot->begun_at -= PG_GETARG_INT64(0);
		PGSTAT_END_WRITE_ACTIVITY(MyBEEntry);
	}
	PG_RETURN_VOID();
}

/* forge_reset(pool text, us bigint): its statistics were reset so much earlier. */
Datum
pm_forge_reset(PG_FUNCTION_ARGS)
{
	PmAccounts *accounts = memory_of("pm_accounts_memory");
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			npools = 2 * atoi(GetConfigOption("pool_monitor.max_pools", false, false));

	LWLockAcquire(&accounts->lock.lock, LW_EXCLUSIVE);
	for (int i = 0; i < npools; i++)
	{
		if (strcmp(accounts->all[i].owner.name, pool) == 0)
			accounts->all[i].stats_reset -= PG_GETARG_INT64(1);
	}
	LWLockRelease(&accounts->lock.lock);
	PG_RETURN_VOID();
}

/* forge_silence(process text, ms bigint): how many processes of this name reported so much earlier. */
Datum
pm_forge_silence(PG_FUNCTION_ARGS)
{
	PmReports  *reports = memory_of("pm_reports_memory");
	char	   *process = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			nplaces = atoi(GetConfigOption("pool_monitor.max_client_processes", false, false));
	int			n = 0;

	LWLockAcquire(&reports->lock, LW_EXCLUSIVE);
	for (int i = 0; i < nplaces; i++)
	{
		if (reports->all[i].reported_at == 0 || strcmp(reports->all[i].process, process) != 0)
			continue;
		reports->all[i].reported_at -= PG_GETARG_INT64(1);
		reports->all[i].at -= PG_GETARG_INT64(1) * 1000;
		n++;
	}
	LWLockRelease(&reports->lock);
	PG_RETURN_INT32(n);
}

/* forge_session_age(ms bigint): the session that calls this is so old. */
Datum
pm_forge_session_age(PG_FUNCTION_ARGS)
{
	MyStartTimestamp = GetCurrentTimestamp() - PG_GETARG_INT64(0) * 1000;
	PG_RETURN_VOID();
}

/*
 * forge_places(pool text, n int): so many more places of the pool, which has no reserve, are taken,
 * by nobody; with an empty name, of the shared part alone. Is there such a pool?
 */
Datum
pm_forge_places(PG_FUNCTION_ARGS)
{
	PmAccounts *accounts = memory_of("pm_accounts_memory");
	PmSeats    *seats = memory_of("pm_seats_memory");
	int			nseats = 2 * atoi(GetConfigOption("pool_monitor.max_pools", false, false));
	char	   *pool = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			i = 0;

	while (i < nseats && pool[0] != '\0' && strcmp(accounts->all[i].owner.name, pool) != 0)
		i++;
	if (i == nseats)
		PG_RETURN_BOOL(false);
	pg_atomic_fetch_add_u64(&seats->shared, PG_GETARG_INT32(1));
	if (pool[0] != '\0')
		pg_atomic_fetch_add_u64(&seats->all[i].word, PG_GETARG_INT32(1));
	PG_RETURN_BOOL(true);
}

/* forge_guards_opened(): how often declarations were put in force that let all in until a tick. */
Datum
pm_forge_guards_opened(PG_FUNCTION_ARGS)
{
	PmSeats    *seats = memory_of("pm_seats_memory");

	PG_RETURN_INT64(pg_atomic_read_u32(&seats->changes));
}

/* forge_guards_age(us bigint): all guards have gone by what they go by for so long already. */
Datum
pm_forge_guards_age(PG_FUNCTION_ARGS)
{
	PmSeats    *seats = memory_of("pm_seats_memory");
	TimestampTz since = GetCurrentTimestamp() - PG_GETARG_INT64(0);

	pg_atomic_write_u64(&seats->shared_since, since);
	pg_atomic_write_u64(&seats->trial_since, since);
	for (pg_atomic_uint64 *of = seats->since; of < (pg_atomic_uint64 *) seats->entering; of++)
		pg_atomic_write_u64(of, since);
	PG_RETURN_VOID();
}

/* ---- memory that there is none of; this process's own ---- */

static MemoryContextMethods forged_methods;
static const MemoryContextMethods *real_methods = NULL;
static Size most_bytes = 0;
static MemoryContext failed = NULL; /* in a worker: where there was none */

static void
check_bytes(MemoryContext context, Size size)
{
	if (most_bytes == 0 || size <= most_bytes)
		return;
	if (MyBgworkerEntry != NULL)
	{
		ereport(LOG, (errmsg("forged: no memory in a worker")));
		failed = context;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("there is no memory: forged")));
}

#if PG_VERSION_NUM >= 170000
static void *
forged_alloc(MemoryContext context, Size size, int flags)
{
	check_bytes(context, size);
	return real_methods->alloc(context, size, flags);
}
#else
static void *
forged_alloc(MemoryContext context, Size size)
{
	check_bytes(context, size);
	return real_methods->alloc(context, size);
}
#endif

static void
forged_delete(MemoryContext context)
{
	if (context == failed)
	{
		ereport(LOG, (errmsg("forged: what had no memory is gone")));
		failed = NULL;
	}
	real_methods->delete_context(context);
}

static bool
forge_context(const char *name)
{
	MemoryContext context = TopMemoryContext->firstchild;

	while (context != NULL && strcmp(context->name, name) != 0)
		context = context->nextchild;
	if (context == NULL)
		return false;
	if (context->methods != &forged_methods)
	{
		real_methods = context->methods;
		forged_methods = *real_methods;
		forged_methods.alloc = forged_alloc;
		forged_methods.delete_context = forged_delete;
		context->methods = &forged_methods;
	}
	return true;
}

/*
 * forge_no_memory(context text, bytes int): in the memory context of this name, below the
 * top one, there is none for more bytes than that in one piece; 0: there is again. Is it there?
 */
Datum
pm_forge_no_memory(PG_FUNCTION_ARGS)
{
	if (!forge_context(text_to_cstring(PG_GETARG_TEXT_PP(0))))
		PG_RETURN_BOOL(false);
	most_bytes = PG_GETARG_INT32(1);
	PG_RETURN_BOOL(true);
}

/* ---- the same in a worker, which nobody can ask: where the library is preloaded ---- */

static char *worker_context;
static int	worker_bytes;

/* At the end of each transaction: a context that is made in one may be there in the next. */
static void
forge_in_worker(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT || MyBgworkerEntry == NULL)
		return;
	if (worker_bytes != 0)
		forge_context(worker_context);
	most_bytes = worker_bytes;
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomStringVariable("pool_monitor_forge.context", "A memory context of workers.", NULL, &worker_context, "",
							   PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor_forge.bytes", "The most in one piece; 0: any.", NULL, &worker_bytes, 0, 0,
							INT_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);
	RegisterXactCallback(forge_in_worker, NULL);
}
