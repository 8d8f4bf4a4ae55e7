/*
 * memory.c
 *		What sessions hold of the machine's memory: memory(), and idle_memory() for the
 *		advice.
 *
 * Their own memory is RssAnon in /proc/PID/status, which the kernel keeps as a number:
 * what is shared (buffers, the program) is not in it, nor what has not been touched since
 * the fork. It takes some 20 us a process; smaps_rollup, which shares shared pages out,
 * walks all of them under the target's lock. No more than MOST_MEASURED of a pool are
 * looked at, evenly spread over them, and stand for the rest.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/procstatus.h"
#include "base/result.h"
#include "base/shmem.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
#include "views/common.h"
#include "views/memory.h"

#define MOST_MEASURED	100		/* sessions of a pool */
#define FRESH			60000	/* ms that idle_memory() is good for */

/* Some sessions: how many there are, how many were measured, and what those hold. */
typedef struct Sum
{
	int			sessions;
	int			passed;			/* in the second pass */
	int			measured;
	int64		bytes;
} Sum;

/* Of a process; -1: it has gone, or the kernel does not say. */
static int64
anonymous_bytes(int pid)
{
	uint64		kilobytes;

	return pm_proc_status(pid, "RssAnon", 10, &kilobytes) == PM_PROC_FOUND ? (int64) kilobytes * 1024 : -1;
}

/* Is this one of those that are looked at? */
static bool
is_chosen(const Sum *sum)
{
	int64		most = Min(MOST_MEASURED, sum->sessions);

	return sum->sessions > 0 &&
		sum->passed * most / sum->sessions != (sum->passed + 1) * most / sum->sessions;
}

/* In the second pass, with each session. */
static void
measure(Sum *sum, const PmSession *session)
{
	int64		bytes = is_chosen(sum) ? anonymous_bytes(session->pid) : -1;

	CHECK_FOR_INTERRUPTS();
	sum->passed++;
	if (bytes < 0)
		return;
	sum->measured++;
	sum->bytes += bytes;
}

/* Of all of them; -1: none could be measured. */
static int64
extrapolated(const Sum *sum)
{
	if (sum->measured == 0)
		return sum->sessions == 0 ? 0 : -1;
	return (int64) ((double) sum->bytes / sum->measured * sum->sessions);
}

/* ---- memory() ---- */

/* A declared pool, or an application without one. */
typedef struct Owned
{
	const PmClass *class;		/* the first that was met */
	int			pool;			/* -1: none */
	Sum			idle;
	Sum			busy;
	struct Owned *next;			/* of all */
	struct Owned *next_alike;	/* in its chain */
} Owned;

#define CHAINS	1024

typedef struct Look
{
	PmTally		tally;
	PmViewer	viewer;
	Owned	   *first;
	Owned	   *chains[CHAINS]; /* by chain_of() */
} Look;

/* Those that belong together are in one. */
static Owned **
chain_of(Look *look, const PmClass *class)
{
	uint64		of = class->pool >= 0 ? (uint64) class->pool : class->key.name_hash ^ class->key.datid ^ class->key.userid;

	return &look->chains[murmurhash32((uint32) (of ^ (of >> 32))) % CHAINS];
}

static bool
belongs(const Owned *owned, const PmClass *class)
{
	const PmClassKey *mine = &owned->class->key;

	if (owned->pool != class->pool)
		return false;
	return class->pool >= 0 ||
		(mine->datid == class->key.datid && mine->userid == class->key.userid &&
		 strcmp(mine->application_name, class->key.application_name) == 0);
}

static Owned *
owned_by(Look *look, PmClass *class)
{
	Owned	  **chain = chain_of(look, class);
	Owned	   *owned;

	if (class->extra != NULL)
		return class->extra;
	for (owned = *chain; owned != NULL; owned = owned->next_alike)
	{
		if (belongs(owned, class))
			break;
	}
	if (owned == NULL)
	{
		owned = palloc0(sizeof(Owned));
		owned->class = class;
		owned->pool = class->pool;
		owned->next = look->first;
		owned->next_alike = *chain;
		look->first = *chain = owned;
	}
	class->extra = owned;
	return owned;
}

/* Once to count them, once to measure. Only those that the caller may see. */
static void
pass(Look *look, bool second)
{
	PmScan		scan;
	const PmSession *session;

	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&look->tally, session);
		Owned	   *owned;
		Sum		   *sum;

		if (!pm_viewer_sees(&look->viewer, session->userid))
			continue;
		owned = owned_by(look, class);
		sum = session->state == PM_STATE_IDLE ? &owned->idle : &owned->busy;
		if (second)
			measure(sum, session);
		else
			sum->sessions++;
	}
}

static void
put_owned(ReturnSetInfo *result, Look *look, const Owned *owned)
{
	PmRow		row = {0};
	const PmClass *class = owned->pool < 0 ? owned->class : NULL;
	int64		idle = extrapolated(&owned->idle);
	int64		busy = extrapolated(&owned->busy);

	pm_put_text(&row, class == NULL ? look->tally.rules->pools[owned->pool].name : NULL);
	pm_put_text(&row, class == NULL ? NULL : class->application_name);
	pm_put_made(&row, class == NULL ? 0 : pm_viewer_database(&look->viewer, class->key.datid));
	pm_put_made(&row, class == NULL ? 0 : pm_viewer_role(&look->viewer, class->key.userid));
	pm_put_int(&row, owned->idle.sessions + owned->busy.sessions);
	pm_put_int(&row, owned->idle.sessions);
	pm_put_bound(&row, idle < 0 || busy < 0 ? -1 : idle + busy);
	pm_put_bound(&row, idle);
	pm_put_int(&row, owned->idle.measured + owned->busy.measured);
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_memory);

Datum
pm_memory(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Look		look = {0};

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&look.tally);
	pm_viewer_begin(&look.viewer);
	pass(&look, false);
	pass(&look, true);
	for (const Owned *owned = look.first; owned != NULL; owned = owned->next)
		put_owned(result, &look, owned);
	return (Datum) 0;
}

/* ---- idle_memory() ---- */

/*
 * What was measured last, by whichever backend. The lock is held for a copy; it is not
 * held while somebody measures, so two may at a time.
 */
typedef struct IdleMemory
{
	LWLock		lock;
	int64		measured_at;	/* ms, monotonic; 0: never */
	TimestampTz at;
	uint64		generation;		/* of the declarations */
	Sum			pools[FLEXIBLE_ARRAY_MEMBER];	/* max_pools */
} IdleMemory;

static IdleMemory *idle_memory = NULL;

static Size
idle_memory_size(void)
{
	return add_size(offsetof(IdleMemory, pools), mul_size(pm_max_pools, sizeof(Sum)));
}

static void
attach_idle_memory(void *memory)
{
	idle_memory = memory;
}

static void
init_idle_memory(void)
{
	LWLockInitialize(&idle_memory->lock, pm_tranche());
}

const PmSection pm_idle_memory_section = {
	.name = "idle memory",
	.size = idle_memory_size,
	.attach = attach_idle_memory,
	.init = init_idle_memory,
};

/* What is known still, if it is fresh and of these declarations. */
static bool
copy_known(Sum *pools, const PmRules *rules, TimestampTz *at)
{
	bool		fresh;

	LWLockAcquire(&idle_memory->lock, LW_SHARED);
	fresh = idle_memory->measured_at != 0 && idle_memory->generation == rules->generation &&
		pm_monotonic_ms() - idle_memory->measured_at < FRESH;
	if (fresh)
		memcpy(pools, idle_memory->pools, rules->npools * sizeof(Sum));
	*at = idle_memory->at;
	LWLockRelease(&idle_memory->lock);
	return fresh;
}

static void
keep(const Sum *pools, const PmTally *tally)
{
	LWLockAcquire(&idle_memory->lock, LW_EXCLUSIVE);
	idle_memory->measured_at = pm_monotonic_ms();
	idle_memory->at = tally->now;
	idle_memory->generation = tally->rules->generation;
	memcpy(idle_memory->pools, pools, tally->rules->npools * sizeof(Sum));
	LWLockRelease(&idle_memory->lock);
}

static void
pass_idle(Sum *pools, bool second)
{
	PmScan		scan;
	const PmSession *session;

	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		if (session->class->pool < 0 || session->state != PM_STATE_IDLE)
			continue;
		if (second)
			measure(&pools[session->class->pool], session);
		else
			pools[session->class->pool].sessions++;
	}
}

PG_FUNCTION_INFO_V1(pm_idle_memory);

Datum
pm_idle_memory(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmTally		tally;
	Sum		   *pools;
	TimestampTz at;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pools = palloc0((tally.rules->npools + 1) * sizeof(Sum));
	if (!copy_known(pools, tally.rules, &at))
	{
		at = tally.now;
		pass_idle(pools, false);
		pass_idle(pools, true);
		keep(pools, &tally);
	}
	for (int i = 0; i < tally.rules->npools; i++)
	{
		PmRow		row = {0};

		pm_put_text(&row, tally.rules->pools[i].name);
		pm_put_int(&row, pools[i].sessions);
		pm_put_bound(&row, extrapolated(&pools[i]));
		pm_put_int(&row, pools[i].measured);
		pm_put_time(&row, at);
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}
