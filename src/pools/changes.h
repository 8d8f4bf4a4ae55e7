/*
 * changes.h
 *		Notices, in the backend that does it, that declarations change.
 */
#ifndef PM_CHANGES_H
#define PM_CHANGES_H

extern void pm_changes_install(void);

#endif							/* PM_CHANGES_H */
