/*
 * refusals.h
 *		Scheduled retirement waits while the server refuses logins.
 */
#ifndef PM_REFUSALS_H
#define PM_REFUSALS_H

/* Sets pm_retirement->refusing; now is in ms, monotonic. */
extern void pm_refusals_tick(int64 now, bool matters);

#endif							/* PM_REFUSALS_H */
