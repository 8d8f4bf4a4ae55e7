/*
 * notifier.h
 *		Tells those who LISTEN of events.
 */
#ifndef PM_NOTIFIER_H
#define PM_NOTIFIER_H

/* Called by the worker at each turn of its loop. */
extern void pm_notifier_tick(void);

/* For the process that has a database; see errands.c. */
extern void pm_notify(void);
extern void pm_notify_done(const ErrorData *failure);

#endif							/* PM_NOTIFIER_H */
