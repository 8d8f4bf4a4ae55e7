/*
 * reports.c
 *		What the pools of clients say of themselves, in shared memory.
 *
 * A report is of the pool of the session by which it comes, so nobody can report for
 * another one's; what he says of his own is not checked, and cannot be. There are
 * max_client_processes places. Who has been silent for SILENT_AFTER is forgotten. A new
 * process takes a free place, or that of the one that has been silent for longest, of its
 * own role where that has a quarter of all: so no role pushes the others out.
 *
 * Sums are counted by what came since the report before. Where that is not known (the
 * server was restarted, the process was forgotten), what the client has done in all may
 * have been counted already: then its sums are the beginning. Only who has never reported
 * before has done all of it since.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "client/reports.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define SILENT_AFTER	INT64CONST(300000)	/* ms */

typedef struct PmReports
{
	LWLock		lock;			/* held for a look at all places */
	PmClientProcess all[FLEXIBLE_ARRAY_MEMBER]; /* max_client_processes */
} PmReports;

static PmReports *reports = NULL;

static Size
reports_size(void)
{
	return add_size(offsetof(PmReports, all), mul_size(pm_max_client_processes, sizeof(PmClientProcess)));
}

static void
attach_reports(void *memory)
{
	reports = memory;
}

static void
init_reports(void)
{
	LWLockInitialize(&reports->lock, pm_tranche());
}

const PmSection pm_reports_section = {
	.name = "reports",
	.size = reports_size,
	.attach = attach_reports,
	.init = init_reports,
};

static bool
is_known(const PmClientProcess *place, int64 now)
{
	return place->reported_at != 0 && now - place->reported_at < SILENT_AFTER;
}

/* Of two places, either NULL: who is to go first. A free one has been silent for longest. */
static PmClientProcess *
more_silent(PmClientProcess *a, PmClientProcess *b)
{
	if (a == NULL || b == NULL)
		return a ? a : b;
	return b->reported_at < a->reported_at ? b : a;
}

/* The place of the process, or one for it. Caller holds the lock. */
static PmClientProcess *
find_place(const PmClientProcess *process)
{
	PmClientProcess *of_all = NULL;
	PmClientProcess *of_role = NULL;
	int			nrole = 0;

	for (int i = 0; i < pm_max_client_processes; i++)
	{
		PmClientProcess *place = &reports->all[i];

		if (place->reported_at != 0 && strcmp(place->process, process->process) == 0 &&
			pm_owner_equal(&place->owner, &process->owner))
			return place;
		of_all = more_silent(of_all, place);
		if (is_known(place, process->reported_at) && place->role == process->role)
		{
			of_role = more_silent(of_role, place);
			nrole++;
		}
	}
	return nrole > 0 && nrole >= pm_max_client_processes / 4 ? of_role : of_all;
}

/* Of a counter: a pool that was made anew begins at 0. */
static int64
came(int64 before, int64 now)
{
	return now >= before ? now - before : now;
}

static PmPoolSums
came_since(const PmPoolSums *before, const PmPoolSums *now)
{
	/* a pool that was made anew began all of them */
	if (now->checkouts < before->checkouts || now->waits < before->waits || now->timeouts < before->timeouts)
		return *now;
	return (PmPoolSums)
	{
		.checkouts = came(before->checkouts, now->checkouts),
			.waits = came(before->waits, now->waits),
			.waited = came(before->waited, now->waited),
			.timeouts = came(before->timeouts, now->timeouts),
			.creations = came(before->creations, now->creations),
			.invalidations = came(before->invalidations, now->invalidations),
	};
}

/*
 * Notes the report of a process; reports_before: how many it has sent. Returns what came
 * since the one before. Takes the lock; no error.
 */
PmPoolSums
pm_report_take(const PmClientProcess *process, int64 reports_before)
{
	PmPoolSums	news = {0};
	PmClientProcess *place;
	TimestampTz first_at = process->at;
	TimestampTz timed_out_at = 0;

	LWLockAcquire(&reports->lock, LW_EXCLUSIVE);
	place = find_place(process);
	if (is_known(place, process->reported_at) && strcmp(place->process, process->process) == 0 &&
		pm_owner_equal(&place->owner, &process->owner))
	{
		news = came_since(&place->report.sums, &process->report.sums);
		first_at = place->first_at;
		timed_out_at = place->timed_out_at;
	}
	else if (reports_before == 0)
		news = process->report.sums;
	*place = *process;
	place->first_at = first_at;
	place->timed_out_at = news.timeouts > 0 ? process->at : timed_out_at;
	LWLockRelease(&reports->lock);
	return news;
}

/* Those that are known, into room for max_client_processes. Takes the lock. */
int
pm_reports_copy(PmClientProcess *processes)
{
	int64		now = pm_monotonic_ms();
	int			n = 0;

	LWLockAcquire(&reports->lock, LW_SHARED);
	for (int i = 0; i < pm_max_client_processes; i++)
	{
		if (is_known(&reports->all[i], now))
			processes[n++] = reports->all[i];
	}
	LWLockRelease(&reports->lock);
	return n;
}
