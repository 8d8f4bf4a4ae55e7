/*
 * shmem.c
 *		Request and start-up of the shared memory.
 */
#include "postgres.h"

#include <unistd.h>

#include "base/shmem.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define TRANCHE "pool_monitor"

/* Where they are simulated there is a lock in each, which zeroes do not initialise. */
StaticAssertDecl(sizeof(pg_atomic_uint64) == sizeof(uint64), "64-bit atomics must be native");

/* A request larger than this, or than this share of the machine, is explained. */
#define LARGE_REQUEST	((Size) 256 << 20)
#define LARGE_SHARE		8

bool		pm_preloaded = false;

static const PmSection *const *sections;
static int	nsections;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* Each section begins where a cache line does. */
static Size
section_size(const PmSection *section)
{
	return CACHELINEALIGN(section->size());
}

/* Of all sections together. */
Size
pm_shmem_size(void)
{
	Size		size = PG_CACHE_LINE_SIZE;

	for (int i = 0; i < nsections; i++)
		size = add_size(size, section_size(sections[i]));
	return size;
}

static bool
is_large(Size size)
{
	long		pages = sysconf(_SC_PHYS_PAGES);

	return size >= LARGE_REQUEST ||
		(pages > 0 && size >= (Size) pages * sysconf(_SC_PAGESIZE) / LARGE_SHARE);
}

/*
 * Says which settings make the request large, before it is made: the server's
 * own message, when it cannot start, knows the sum alone.
 */
static void
explain_request(Size size)
{
	StringInfoData text;
	Size		explained = 0;

	initStringInfo(&text);
	for (int i = 0; i < nsections; i++)
	{
		if (sections[i]->explain != NULL)
			explained += sections[i]->explain(&text);
	}
	ereport(LOG,
			(errmsg("pool_monitor asks for %zu MB of shared memory", size >> 20),
			 errdetail("%sPools (\"pool_monitor.max_pools\") and the rest: %zu MB.", text.data, (size - explained) >> 20),
			 errhint("If the server cannot start for want of shared memory, lower these settings.")));
	pfree(text.data);
}

static void
request_shared_memory(void)
{
	Size		size = pm_shmem_size();

	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	if (is_large(size))
		explain_request(size);
	RequestAddinShmemSpace(size);
	/* for the name of the tranche; the locks are the modules' own */
	RequestNamedLWLockTranche(TRANCHE, 1);
}

/* Of the modules' locks. */
int
pm_tranche(void)
{
	return GetNamedLWLockTranche(TRANCHE)->lock.tranche;
}

#ifdef USE_ASSERT_CHECKING
static bool
is_zero(const char *at, Size size)
{
	for (Size i = 0; i < size; i++)
	{
		if (at[i] != 0)
			return false;
	}
	return true;
}
#endif

/*
 * Runs in the postmaster, at start and again in each crash restart.
 *
 * The memory is zero, and stays untouched here, so that what is not used yet costs
 * address space alone. The server's segment is a new one each time, after a crash too:
 * mapped anonymously (with huge pages too), or made by shmget(), both of which give
 * zeroes on Linux. Nobody else has had our part of it before: ShmemAlloc() only goes
 * forward. A server with assertions looks at all of it.
 */
static void
start_shared_memory(void)
{
	bool		found;
	char	   *at;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	at = (char *) CACHELINEALIGN(ShmemInitStruct("pool_monitor", pm_shmem_size(), &found));
	Assert(found || is_zero(at, pm_shmem_size() - PG_CACHE_LINE_SIZE));
	for (int i = 0; i < nsections; i++)
	{
		sections[i]->attach(at);
		at += section_size(sections[i]);
	}
	for (int i = 0; i < nsections && !found; i++)
	{
		if (sections[i]->init != NULL)
			sections[i]->init();
	}
	pm_preloaded = true;
	LWLockRelease(AddinShmemInitLock);
}

void
pm_shmem_install(const PmSection *const *list, int n)
{
	sections = list;
	nsections = n;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

void
pm_require_preload(void)
{
	if (!pm_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pool_monitor must be loaded via \"shared_preload_libraries\""),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
}
