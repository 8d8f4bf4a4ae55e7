/*
 * names.h
 *		The roles that protected_roles names.
 */
#ifndef PM_NAMES_H
#define PM_NAMES_H

extern bool pm_protected_check_names(void);

/* In a transaction, after pm_lookups_start(). */
extern bool pm_protected_setting_changed(void);
extern uint64 pm_protected_find(void);

/* Of those that were found. */
extern bool pm_protected_any(void);
extern bool pm_protected_is_named(Oid role);

#endif							/* PM_NAMES_H */
