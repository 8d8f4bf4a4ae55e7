/*
 * reports.h
 *		What the pools of clients say of themselves.
 */
#ifndef PM_REPORTS_H
#define PM_REPORTS_H

#include "base/identity.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "storage/lwlock.h"

#define PM_PROCESS_LEN	64		/* of a name, with its end */

/* us, for which a report says what is the case now; SQL has it by report_counts_for() */
#define PM_REPORT_COUNTS	INT64CONST(90000000)

/* What a pool has done since it was made. */
typedef struct PmPoolSums
{
	int64		checkouts;
	int64		waits;			/* checkouts that had to wait */
	int64		waited;			/* us, of all of these */
	int64		timeouts;		/* checkouts that gave up */
	int64		creations;		/* connections opened */
	int64		invalidations;	/* connections thrown away as broken */
	int64		checked_out;	/* us that they were handed out, in sum */

	/* what follows from reports, and none says */
	int64		timed_checkouts;	/* of which checked_out is known */
	int64		open;			/* us that they were open, in sum */
} PmPoolSums;

#define PM_NOT_SAID	(-2)

/* One report; numbers of connections may be PM_NOT_SAID. */
typedef struct PmReport
{
	int			size;
	int			max_overflow;	/* -1: no bound */
	int			open;
	int			checked_out;
	int			waiting;
	bool		knows_waits;	/* and time-outs; else they are 0 */
	bool		knows_use;		/* how many are open, and for how long they
								 * were handed out; else that is 0 */
	int64		longest_wait;	/* us, since the report before */
	PmPoolSums	sums;
	int64		number;			/* how many came before it, as the client
								 * says; PM_NOT_SAID */
} PmReport;

/* One process of an application, as it last reported. */
typedef struct PmClientProcess
{
	PmOwner		owner;			/* of the account that its session was in */
	char		process[PM_PROCESS_LEN];	/* as it calls itself */
	Oid			role;			/* that logged in, and reported */
	int			pid;			/* of the session by which it did */
	bool		counts;			/* may it speak for the owner: speaks.h */
	int64		session_age;	/* ms */
	int64		first_reported_at;	/* ms, monotonic: of the first report that
									 * is known */
	int64		reported_at;	/* likewise, of this; 0: the place is free */
	TimestampTz at;				/* the same moment */
	TimestampTz first_at;		/* likewise of first_reported_at */
	TimestampTz timed_out_at;	/* of the last one by which more checkouts had
								 * timed out; 0: none is known */
	PmReport	report;
	PmPoolSums	drawn;			/* of what may be counted, see reports.c:
								 * stays with the place */
} PmClientProcess;

typedef struct PmReports
{
	LWLock		lock;			/* held for a look at all places */
	PmClientProcess all[FLEXIBLE_ARRAY_MEMBER]; /* max_client_processes */
} PmReports;

extern const PmSection pm_reports_section;

/* For the tests' library, which makes a process silent for longer than a test can wait. */
extern PGDLLEXPORT PmReports *pm_reports_memory(void);

/* What of the sums of one process can be true, all the time and on average. */
#define PM_MOST_CHECKOUTS	100000	/* a second; of waits and time-outs each,
									 * too */
#define PM_MOST_WAITERS		1000	/* at once */
#define PM_MOST_OPEN		10000	/* connections, at once */

/* What became of a report. */
typedef enum PmTaken
{
	PM_TAKEN,
	PM_TAKEN_LATE,				/* a later one has come already */
	PM_TAKEN_NO_ROOM
} PmTaken;

/* Of news, nothing unless the process counts, and did so by its report before. */
extern PmTaken pm_report_take(const PmClientProcess *process, PmPoolSums *news, bool *cut);
extern int	pm_reports_copy(PmClientProcess *processes);

#endif							/* PM_REPORTS_H */
