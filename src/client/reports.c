/*
 * reports.c
 *		What the pools of clients say of themselves, in shared memory.
 *
 * A report is of the pool of the session by which it comes, so nobody can report for
 * another one's; whose reports of a pool count, speaks.c says. What they say is not checked,
 * but for what cannot be.
 *
 * There are max_client_processes places. Who has been silent for SILENT_AFTER is shown no
 * more, and gives way to a new process. When all are taken, a new one gets that of the most
 * silent process of the login role that has the most, if its own role has two less at least:
 * so roles come to have alike.
 *
 * Sums are counted by what came since the report before, however long ago that was. Where
 * none is known (the server was restarted, the process gave way), what the client has done
 * in all may have been counted already: then its sums are where it begins. Only who says
 * that he has never reported before has done all of it since. Reports that say their
 * number are taken in order: a late one, or one of another pool under the same name, is
 * left out.
 *
 * What is counted is bounded by what a process can have done: a place gets so much for each
 * ms that goes by, keeps that of the last ALLOWANCE, and draws from it. What a first report
 * says of the time before comes from there, too, since the process may be older than its
 * session. It stays with the place, whoever has it: so many names, or a pool that begins
 * anew with each report, get no more of it.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "client/reports.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/timestamp.h"

#define SILENT_AFTER	INT64CONST(300000)	/* ms */
#define USUAL_INTERVAL	INT64CONST(60000)	/* ms, between reports, at most */
#define ALLOWANCE		INT64CONST(3600000) /* ms; clients that are refused
											 * try again after an hour at most */

/* for each ms */
#define CHECKOUTS		(PM_MOST_CHECKOUTS / 1000)
#define WAITED			(PM_MOST_WAITERS * INT64CONST(1000))	/* us */
#define OPEN			(PM_MOST_OPEN * INT64CONST(1000))	/* us */

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

PmReports *
pm_reports_memory(void)
{
	return reports;
}

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

static int
compare_oids(const void *a, const void *b)
{
	Oid			left = *(const Oid *) a;
	Oid			right = *(const Oid *) b;

	return left < right ? -1 : left > right;
}

/* Of all places, which are taken: the role that has the most, and how many; how many role has. */
static int
most_of_one_role(Oid role, Oid *of, int *own)
{
	static Oid	roles[PM_MOST_CLIENT_PROCESSES];	/* no palloc under the
													 * lock */
	int			most = 0;
	int			first = 0;

	*own = 0;
	for (int i = 0; i < pm_max_client_processes; i++)
	{
		roles[i] = reports->all[i].role;
		*own += roles[i] == role;
	}
	qsort(roles, pm_max_client_processes, sizeof(Oid), compare_oids);
	for (int i = 0; i < pm_max_client_processes; i++)
	{
		if (roles[i] != roles[first])
			first = i;
		if (i - first + 1 > most)
		{
			most = i - first + 1;
			*of = roles[i];
		}
	}
	return most;
}

/* All are taken: who gives way to this role? NULL: nobody. Caller holds the lock. */
static PmClientProcess *
find_victim(Oid role)
{
	PmClientProcess *victim = NULL;
	Oid			from = InvalidOid;
	int			own;
	int			most = most_of_one_role(role, &from, &own);

	if (most < own + 2)
		return NULL;
	for (int i = 0; i < pm_max_client_processes; i++)
	{
		if (reports->all[i].role == from)
			victim = more_silent(victim, &reports->all[i]);
	}
	return victim;
}

/* Another role may have the same pool, and call a process as it likes. */
static bool
is_of(const PmClientProcess *place, const PmClientProcess *process)
{
	return place->reported_at != 0 && place->role == process->role && strcmp(place->process, process->process) == 0 &&
		pm_owner_equal(&place->owner, &process->owner);
}

/* The place of the process, or one for it; NULL: there is none. Caller holds the lock. */
static PmClientProcess *
find_place(const PmClientProcess *process)
{
	PmClientProcess *silent = NULL;

	for (int i = 0; i < pm_max_client_processes; i++)
	{
		PmClientProcess *place = &reports->all[i];

		if (is_of(place, process))
			return place;
		if (!is_known(place, process->reported_at))
			silent = more_silent(silent, place);
	}
	return silent ? silent : find_victim(process->role);
}

static PmPoolSums
came_since(const PmPoolSums *before, const PmPoolSums *now)
{
	return (PmPoolSums)
	{
		.checkouts = Max(now->checkouts - before->checkouts, 0),
			.waits = Max(now->waits - before->waits, 0),
			.waited = Max(now->waited - before->waited, 0),
			.timeouts = Max(now->timeouts - before->timeouts, 0),
			.creations = Max(now->creations - before->creations, 0),
			.invalidations = Max(now->invalidations - before->invalidations, 0),
			.checked_out = Max(now->checked_out - before->checked_out, 0),
	};
}

/* Is the pool that reports another one than before? It has begun its sums anew then. */
static bool
is_anew(const PmReport *before, const PmReport *now)
{
	if (now->number != PM_NOT_SAID)
		return now->number == 0;
	return now->sums.checkouts < before->sums.checkouts || now->sums.waits < before->sums.waits ||
		now->sums.timeouts < before->sums.timeouts;
}

/* Does it come after a later one? */
static bool
is_late(const PmReport *before, const PmReport *now)
{
	return now->number > 0 && now->number <= before->number;
}

/* What of a sum can have come: rate is what there is of it for each ms. */
static void
bound(int64 *came, int64 *drawn, int64 rate, int64 elapsed)
{
	*drawn = Max(*drawn - elapsed * rate, 0);
	*came = Min(*came, ALLOWANCE * rate - *drawn);
	*drawn += *came;
}

/*
 * The same of all that is counted, at a place of which the last report came elapsed ms ago.
 * Says whether something was cut.
 */
static bool
bound_news(PmPoolSums *news, PmPoolSums *drawn, int64 elapsed)
{
	PmPoolSums	came = *news;

	bound(&news->checkouts, &drawn->checkouts, CHECKOUTS, elapsed);
	bound(&news->waits, &drawn->waits, CHECKOUTS, elapsed);
	bound(&news->waited, &drawn->waited, WAITED, elapsed);
	bound(&news->timeouts, &drawn->timeouts, CHECKOUTS, elapsed);
	bound(&news->timed_checkouts, &drawn->timed_checkouts, CHECKOUTS, elapsed);
	bound(&news->checked_out, &drawn->checked_out, OPEN, elapsed);
	bound(&news->open, &drawn->open, OPEN, elapsed);
	news->timed_checkouts = Min(news->timed_checkouts, news->checkouts);
	return memcmp(news, &came, sizeof(came)) != 0;
}

/* Who has waited has got a connection, or given up, or waits still. Says whether something was cut. */
static bool
bound_waits(PmPoolSums *news, int waiting)
{
	int64		now = waiting == PM_NOT_SAID ? PM_MOST_WAITERS : Min(waiting, PM_MOST_WAITERS);
	int64		most = news->checkouts + news->timeouts + now;

	if (news->waits <= most)
		return false;
	news->waited = (int64) ((double) news->waited / news->waits * most);
	news->waits = most;
	return true;
}

/*
 * Of what has come, the connections of those that know for how long these are handed out: so
 * many were open, for so many ms. What was handed out was open, whatever it says.
 */
static void
add_use(PmPoolSums *news, bool known, double open, int64 ms)
{
	if (!known)
	{
		news->checked_out = 0;
		return;
	}
	news->timed_checkouts = news->checkouts;
	news->open = Max((int64) (open * 1000) * ms, news->checked_out);
}

/*
 * What comes once, with the report that tells it first. For how long its pool has been there it
 * does not say: as its session, but that may be older, if a pooler has it; and not since before
 * the last report of this name.
 */
static PmPoolSums
first_news(const PmClientProcess *process, int64 most)
{
	const PmReport *report = &process->report;
	PmPoolSums	news = report->sums;

	add_use(&news, report->knows_use, report->open, Min(process->session_age, most));
	return news;
}

/* On average of both reports as many were open as they say. */
static PmPoolSums
further_news(const PmClientProcess *place, const PmClientProcess *process)
{
	const PmReport *before = &place->report;
	const PmReport *report = &process->report;
	PmPoolSums	news = came_since(&before->sums, &report->sums);

	add_use(&news, before->knows_use && report->knows_use, (before->open + report->open) / 2.0,
			Min(Max(process->reported_at - place->reported_at, 0), ALLOWANCE));
	return news;
}

/*
 * What has come since the report before; place is that of the process, if it is known. Of
 * the checkouts the waits are a part: nothing comes of a report that does not know them, nor
 * since such a one.
 */
static PmPoolSums
news_of(const PmClientProcess *place, bool known, const PmClientProcess *process)
{
	const PmReport *report = &process->report;
	PmPoolSums	nothing = {0};
	int64		elapsed = known ? Max(process->reported_at - place->reported_at, 0) : USUAL_INTERVAL;

	if (!report->knows_waits || !process->counts || (known && !place->counts))
		return nothing;
	if (known ? is_anew(&place->report, report) : report->number == 0)
		return first_news(process, Min(elapsed, USUAL_INTERVAL));
	return known && place->report.knows_waits ? further_news(place, process) : nothing;
}

/*
 * Notes the report of a process, and what came since the one before, of which what cannot be
 * is cut: both only when it is taken. Takes the lock; no error.
 */
PmTaken
pm_report_take(const PmClientProcess *process, PmPoolSums *news, bool *cut)
{
	const PmReport *report = &process->report;
	PmClientProcess *place;
	bool		known;
	PmClientProcess new = *process;

	LWLockAcquire(&reports->lock, LW_EXCLUSIVE);
	place = find_place(process);
	known = place != NULL && is_of(place, process);
	if (place == NULL || (known && is_known(place, process->reported_at) && is_late(&place->report, report)))
	{
		LWLockRelease(&reports->lock);
		return known ? PM_TAKEN_LATE : PM_TAKEN_NO_ROOM;
	}
	*news = news_of(place, known, process);
	new.drawn = place->drawn;
	new.reported_at = Max(process->reported_at, place->reported_at);	/* the lock came between */
	*cut = bound_news(news, &new.drawn, new.reported_at - place->reported_at);
	*cut |= bound_waits(news, report->waiting);
	if (known)
	{
		new.first_at = place->first_at;
		new.first_reported_at = place->first_reported_at;
		new.timed_out_at = place->timed_out_at;
	}
	if (news->timeouts > 0)
		new.timed_out_at = process->at;
	*place = new;
	LWLockRelease(&reports->lock);
	return PM_TAKEN;
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
