/*
 * loading.h
 *		When the declarations are brought into shared memory.
 */
#ifndef PM_LOADING_H
#define PM_LOADING_H

/* Called by the worker at least once a second. */
extern void pm_loading_tick(void);

extern bool pm_find_database(Oid *found);

#endif							/* PM_LOADING_H */
