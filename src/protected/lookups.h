/*
 * lookups.h
 *		How long looking roles up may take, and whether what was found still holds.
 */
#ifndef PM_LOOKUPS_H
#define PM_LOOKUPS_H

/* In each process before it calls another one of these, but for the lock. */
extern void pm_lookups_start(void);

/* Moves when any role or membership changes that this process hears of. */
extern uint64 pm_roles_generation(void);

/* Time: of what is looked up from pm_lookups_begin() on, until it is called again. */
extern void pm_lookups_begin(int64 budget_ms);
extern bool pm_lookups_limited(void);
extern bool pm_lookups_have_time(void);
extern void pm_lookups_extend(int64 ms);

extern bool pm_lookups_lock(void);

#endif							/* PM_LOOKUPS_H */
