/*
 * pool_monitor_forge.c
 *		Puts into shared memory what would take an hour, or a defect, for the tests of what
 *		follows from it.
 *
 * It knows the layout from the headers of the same tree; of the library's functions it
 * uses those alone that give it the memory.
 */
#include "postgres.h"

#include "base/clock.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "retire/pace.h"
#include "sessions/slot.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(pm_forge_hour_paused);
PG_FUNCTION_INFO_V1(pm_forge_slot);

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

/*
 * forge_slot(pid int, to int): the slot of that process bears another pid. Has there been
 * such a slot?
 */
Datum
pm_forge_slot(PG_FUNCTION_ARGS)
{
	PmSlots    *slots = memory_of("pm_slots_memory");
	uint32		pid = (uint32) PG_GETARG_INT32(0);

	for (int i = 0; i < MaxBackends; i++)
	{
		if (pg_atomic_compare_exchange_u32(&slots->all[i].pid, &pid, (uint32) PG_GETARG_INT32(1)))
			PG_RETURN_BOOL(true);
		pid = (uint32) PG_GETARG_INT32(0);
	}
	PG_RETURN_BOOL(false);
}
