/*
 * refusals.h
 *		Counts the logins that the server refuses for want of a slot.
 */
#ifndef PM_REFUSALS_H
#define PM_REFUSALS_H

extern void pm_refusals_install(void);

#endif							/* PM_REFUSALS_H */
