/*
 * reserves.h
 *		Connections that declarations keep for single pools, and what is left to all.
 */
#ifndef PM_RESERVES_H
#define PM_RESERVES_H

#include "commands/trigger.h"
#include "pools/rules.h"

/* Of this pool alone: what its reserve keeps from all others. */
static inline int
pm_reserve_in_force(const PmPool *pool)
{
	return pool->guard == PM_GUARD_ENFORCE ? pool->reserved : 0;
}

/* From the triggers of pool_monitor.pools. */
extern void pm_reserves_note_row(const TriggerData *trigger);
extern void pm_reserves_check(Relation table);
extern void pm_reserves_forget(void);

#endif							/* PM_RESERVES_H */
