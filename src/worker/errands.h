/*
 * errands.h
 *		What needs a database is done by a process that waits for it from the
 *		server's start on, in a worker slot of its own.
 */
#ifndef PM_ERRANDS_H
#define PM_ERRANDS_H

#include "base/shmem.h"
#include "pools/declared.h"
#include "storage/latch.h"

/* Also how the process is called; last_words.c knows its exits by it. */
#define PM_ERRANDS_NAME "pool_monitor errands"

typedef enum PmErrandKind
{
	PM_ERRAND_LOAD,
	PM_ERRAND_NOTIFY
} PmErrandKind;

/* Of the process that does errands; who moves it, and when: errands.c. */
typedef enum PmErrandStage
{
	PM_ERRANDS_ABSENT,
	PM_ERRANDS_WAITING,
	PM_ERRANDS_ASKED,
	PM_ERRANDS_RUNNING
} PmErrandStage;

/* Protected by pm_accounts->lock. */
typedef struct PmErrands
{
	PmErrandStage stage;
	uint64		incarnation;	/* of the process; so its errand's number */
	pid_t		pid;			/* 0: absent */
	Latch	   *latch;			/* its own */
	int64		since;			/* ms, monotonic: absent, waiting or asked */
	PmErrandKind kind;
	Oid			database;
	uint64		ticket;			/* of a load */
} PmErrands;

/* Without a lock: for the log hook, see last_words.c. */
typedef struct PmErrandWords
{
	pg_atomic_uint32 orderly_exits; /* whose callbacks have run */
	uint32		hidden_exits;	/* the postmaster's: of these, at the last one
								 * that it kept out of the log */
	char		fatal[PM_LOAD_MESSAGE_LEN]; /* what ended the last one;
											 * written by itself, read when it
											 * is gone */
} PmErrandWords;

typedef struct PmErrandProcess
{
	PmErrands	now;
	PmErrandWords words;
	char		notify_message[PM_LOAD_MESSAGE_LEN];	/* the process alone:
														 * why NOTIFY failed,
														 * empty: it did not */
} PmErrandProcess;

extern PmErrandProcess *pm_errands;
extern const PmSection pm_errands_section;

/* Is this the process, and asked? For the log hook. */
extern bool pm_on_errand;

/* Called from _PG_init. */
extern void pm_errands_register(void);
extern void pm_last_words_install(void);

/* For the worker, and who knows the process. */
extern const char *pm_errand_text(PmErrandKind kind);
extern bool pm_errands_ready(void);
extern bool pm_errands_missing(void);
extern uint64 pm_errand_begin(PmErrandKind kind, Oid database, uint64 ticket);
extern bool pm_errand_is_over(uint64 errand);
extern bool pm_errand_was_overdue(uint64 errand);
extern int64 pm_errands_tick(void);

/* The process. */
extern PGDLLEXPORT void pm_errands_main(Datum arg);

#endif							/* PM_ERRANDS_H */
