/*
 * worker.h
 *		The background worker "pool_monitor".
 */
#ifndef PM_WORKER_H
#define PM_WORKER_H

extern void pm_worker_register(void);
extern PGDLLEXPORT void pm_worker_main(Datum arg);

#endif							/* PM_WORKER_H */
