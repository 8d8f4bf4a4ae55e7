/*
 * acting.h
 *		Who may change declarations that retire sessions or refuse logins.
 */
#ifndef PM_ACTING_H
#define PM_ACTING_H

#include "commands/trigger.h"

/* From the triggers of pool_monitor.pools; raises an error when the user may not. */
extern void pm_acting_check_row(const TriggerData *trigger);
extern void pm_acting_lock_number(Relation table);
extern void pm_acting_lock_reserves(Relation table);
extern void pm_acting_check_truncate(const TriggerData *trigger);

#endif							/* PM_ACTING_H */
