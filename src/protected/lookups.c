/*
 * lookups.c
 *		How long looking roles up may take, and whether what was found still holds.
 *
 * The invalidations of shared catalogs reach every process, also one without a
 * database; each of them that is about roles moves the generation.
 */
#include "postgres.h"

#include "base/clock.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "protected/lookups.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/syscache.h"

static bool started = false;
static uint64 generation = 1;

/* of the time since pm_lookups_begin() */
static bool limited = false;
static int64 deadline = 0;		/* ms, monotonic */
static bool lock_tried = false;
static bool locked = false;

static void
note_change(Datum arg, int cache, uint32 hash)
{
	generation++;
}

void
pm_lookups_start(void)
{
	if (started)
		return;
	started = true;
	CacheRegisterSyscacheCallback(AUTHOID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, note_change, (Datum) 0);
}

uint64
pm_roles_generation(void)
{
	return generation;
}

/* So many ms in all; negative: as long as they need. */
void
pm_lookups_begin(int64 budget_ms)
{
	limited = budget_ms >= 0;
	deadline = pm_monotonic_ms() + budget_ms;
	lock_tried = false;
}

bool
pm_lookups_limited(void)
{
	return limited;
}

/*
 * Locks the catalogs for the rest of the transaction, so that no look-up waits
 * for somebody who rewrites one; false when that cannot be had at once.
 */
bool
pm_lookups_lock(void)
{
	static const Oid catalogs[] = {
		AuthIdRelationId, AuthIdOidIndexId, AuthIdRolnameIndexId, AuthMemRelationId, AuthMemMemRoleIndexId
	};

	for (size_t i = 0; i < lengthof(catalogs); i++)
	{
		if (!ConditionalLockRelationOid(catalogs[i], AccessShareLock))
			return false;
	}
	return true;
}

/* May more be looked up? */
bool
pm_lookups_have_time(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!limited)
		return true;
	if (!lock_tried)
		locked = pm_lookups_lock();
	lock_tried = true;
	return locked && pm_monotonic_ms() < deadline;
}

/* What has just taken so many ms is not taken from the time. */
void
pm_lookups_extend(int64 ms)
{
	deadline += ms;
}
