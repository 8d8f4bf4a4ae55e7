/*
 * errands.h
 *		What needs a database is done by a process that waits for it from the
 *		server's start on, in a worker slot of its own.
 */
#ifndef PM_ERRANDS_H
#define PM_ERRANDS_H

/* Also how the process is called; logins.c knows its exits by it. */
#define PM_ERRANDS_NAME "pool_monitor errands"

typedef enum PmErrandKind
{
	PM_ERRAND_LOAD,
	PM_ERRAND_NOTIFY
} PmErrandKind;

/* Is this the process, and asked? For the log hook. */
extern bool pm_on_errand;

/* Called from _PG_init. */
extern void pm_errands_register(void);

/* For the worker. */
extern bool pm_errands_ready(void);
extern bool pm_errands_missing(void);
extern uint64 pm_errand_begin(PmErrandKind kind, Oid database, uint64 ticket);
extern bool pm_errand_is_over(uint64 errand);
extern bool pm_errand_was_overdue(uint64 errand);
extern int64 pm_errands_tick(void);

/* The process. */
extern PGDLLEXPORT void pm_errands_main(Datum arg);

#endif							/* PM_ERRANDS_H */
