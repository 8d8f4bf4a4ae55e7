/*
 * loader.h
 *		Brings the declarations from the table into shared memory.
 */
#ifndef PM_LOADER_H
#define PM_LOADER_H

/* Called by the worker at least once a second. */
extern void pm_loader_tick(void);

/* The short-lived process. */
extern PGDLLEXPORT void pm_loader_main(Datum arg);

#endif							/* PM_LOADER_H */
