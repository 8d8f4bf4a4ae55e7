/*
 * notifier.h
 *		Tells those who LISTEN of events.
 */
#ifndef PM_NOTIFIER_H
#define PM_NOTIFIER_H

/* Called by the worker at each turn of its loop. */
extern void pm_notifier_tick(void);

/* The short-lived process. */
extern PGDLLEXPORT void pm_notifier_main(Datum arg);

#endif							/* PM_NOTIFIER_H */
