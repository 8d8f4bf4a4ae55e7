/*
 * client_report.c
 *		client_report(), which clients call, client_reports(), and for how long these count.
 */
#include "postgres.h"

#include <math.h>

#include "base/clock.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "base/result.h"
#include "base/shmem.h"
#include "client/holds.h"
#include "client/reports.h"
#include "client/session.h"
#include "client/speaks.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/settle.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "views/common.h"

#define MOST_CONNECTIONS	1000000
#define MOST_TIMES			INT64CONST(1000000000000)
#define MOST_SECONDS		1e12

/* What the client wrote must be what it could mean: the sums go into the accounts. */
static void
refuse(const char *name, const char *range)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s", name, range)));
}

/* Connections. */
static int
get_number(FunctionCallInfo fcinfo, int arg, const char *name, int least)
{
	int			value = PG_ARGISNULL(arg) ? PM_NOT_SAID : PG_GETARG_INT32(arg);

	if (!PG_ARGISNULL(arg) && (value < least || value > MOST_CONNECTIONS))
		refuse(name, psprintf("between %s and %d, not %d", least < 0 ? "-1 (unbounded)" : "0", MOST_CONNECTIONS, value));
	return value;
}

static int64
get_times(FunctionCallInfo fcinfo, int arg, const char *name)
{
	int64		value = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT64(arg);

	if (value < 0 || value > MOST_TIMES)
		refuse(name, psprintf("between 0 and " INT64_FORMAT ", not " INT64_FORMAT, MOST_TIMES, value));
	return value;
}

/* Seconds, as us. */
static int64
get_seconds(FunctionCallInfo fcinfo, int arg, const char *name)
{
	double		value = PG_ARGISNULL(arg) ? 0 : PG_GETARG_FLOAT8(arg);

	if (!(value >= 0 && value <= MOST_SECONDS))
		refuse(name, psprintf("between 0 and %.0f, not %g", MOST_SECONDS, value));
	return (int64) rint(value * 1000000);
}

/* Nothing of it without how many are open. */
static void
get_use(FunctionCallInfo fcinfo, PmReport *report)
{
	int64		seconds = get_seconds(fcinfo, 14, "checked_out_seconds");

	report->knows_use = !PG_ARGISNULL(14) && report->open != PM_NOT_SAID;
	report->sums.checked_out = report->knows_use ? seconds : 0;
}

/* A client that does not know who waits says nothing of how long, and of who gave up. */
static void
get_waits(FunctionCallInfo fcinfo, PmReport *report)
{
	report->knows_waits = !PG_ARGISNULL(7);
	if (!report->knows_waits)
		return;
	report->sums.waits = get_times(fcinfo, 7, "waits");
	report->sums.waited = get_seconds(fcinfo, 8, "waited_seconds");
	report->sums.timeouts = get_times(fcinfo, 9, "timeouts");
	report->longest_wait = get_seconds(fcinfo, 12, "longest_wait");
}

static void
get_process(FunctionCallInfo fcinfo, int arg, char *process)
{
	char	   *name;

	if (PG_ARGISNULL(arg))
		refuse("process", "given: a name that no other process of the pool has, as its host and process number");
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	for (char *c = name; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	if (name[0] == '\0' || strlen(name) >= PM_PROCESS_LEN)
		refuse("process", psprintf("of 1 to %d bytes, not %zu", PM_PROCESS_LEN - 1, strlen(name)));
	strlcpy(process, name, PM_PROCESS_LEN);
}

/*
 * The session's account follows its name with the next tick. A client that sets its name
 * after it has logged in, and reports before that, means the pool of this name: so this
 * session's first report under a name has all accounts brought up to date.
 */
static void
follow_name(void)
{
	static char reported_as[NAMEDATALEN];
	static bool reported = false;
	PmTally		tally;
	PmOpen		open;

	if (reported && strcmp(reported_as, application_name) == 0)
		return;
	pm_settle_all(&tally, &open);
	strlcpy(reported_as, application_name, NAMEDATALEN);
	reported = true;
}

static void
tell_of_cut(void)
{
	ereport(NOTICE,
			(errmsg("the report says more than a process can have done since its last one: the rest is not counted"),
			 errdetail("At most %d checkouts, waits and time-outs a second are counted, waits of %d callers at once, "
					   "and %d connections; and as many waits as checkouts, time-outs and callers that wait now.",
					   PM_MOST_CHECKOUTS, PM_MOST_WAITERS, PM_MOST_OPEN)));
}

static void
tell_of_minority(void)
{
	ereport(NOTICE,
			(errmsg("the report is shown, but not counted: less than half of its pool's sessions are of its login role"),
			 errhint("Declare the pool's usename, as a pattern of the roles that may speak for it; '_%%' is any.")));
}

/* Counts it; why it is not noted, NULL if it is. */
static const char *
note(PmClientProcess *process, Oid function, bool *cut)
{
	PmPoolSums	news;
	int			account = pm_session_account(&process->owner);

	if (account < 0)
		return "This session is not counted.";
	if (!pm_hold_reports(function))
		return "It must be a SELECT of client_report() alone, sent by the client, the first statement of its transaction.";
	process->counts = pm_may_speak(account);
	switch (pm_report_take(process, &news, cut))
	{
		case PM_TAKEN_LATE:
			return "One with as many reports_before, or more, has come already.";
		case PM_TAKEN_NO_ROOM:
			return "As many other processes report as pool_monitor.max_client_processes allows.";
		case PM_TAKEN:
			break;
	}
	pm_session_count(account, &news);
	return NULL;
}

PG_FUNCTION_INFO_V1(pm_client_report);

/*
 * client_report(process text, size int, max_overflow int, open int, checked_out int,
 * waiting int, checkouts bigint, waits bigint, waited_seconds float8, timeouts bigint,
 * creations bigint, invalidations bigint, longest_wait float8, reports_before bigint,
 * checked_out_seconds float8)
 */
Datum
pm_client_report(PG_FUNCTION_ARGS)
{
	PmClientProcess process = {0};
	PmReport   *report = &process.report;
	const char *why_not;
	bool		cut;

	pm_require_preload();
	get_process(fcinfo, 0, process.process);
	report->size = get_number(fcinfo, 1, "size", 0);
	report->max_overflow = get_number(fcinfo, 2, "max_overflow", -1);
	report->open = get_number(fcinfo, 3, "open", 0);
	report->checked_out = get_number(fcinfo, 4, "checked_out", 0);
	report->waiting = get_number(fcinfo, 5, "waiting", 0);
	report->sums.checkouts = get_times(fcinfo, 6, "checkouts");
	get_waits(fcinfo, report);
	report->sums.creations = get_times(fcinfo, 10, "creations");
	report->sums.invalidations = get_times(fcinfo, 11, "invalidations");
	report->number = PG_ARGISNULL(13) ? PM_NOT_SAID : get_times(fcinfo, 13, "reports_before");
	get_use(fcinfo, report);
	process.role = GetAuthenticatedUserId();
	process.pid = MyProcPid;
	process.reported_at = process.first_reported_at = pm_monotonic_ms();
	process.at = process.first_at = GetCurrentTimestamp();
	process.session_age = Max((process.at - MyStartTimestamp) / 1000, 0);
	follow_name();
	why_not = note(&process, fcinfo->flinfo->fn_oid, &cut);
	if (why_not)
	{
		ereport(NOTICE,
				(errmsg("the report was not noted"),
				 errdetail_internal("%s", why_not)));
		PG_RETURN_BOOL(false);
	}
	if (cut)
		tell_of_cut();
	if (!process.counts)
		tell_of_minority();
	if (!PG_ARGISNULL(14) && !report->knows_use)
		ereport(NOTICE,
				(errmsg("checked_out_seconds is not counted without open")));
	PG_RETURN_BOOL(true);
}

static void
put_known(PmRow *row, int value)
{
	if (value < 0)
		pm_put_null(row);
	else
		pm_put_int(row, value);
}

static void
put_of_waits(PmRow *row, const PmReport *report, Datum value)
{
	if (report->knows_waits)
		pm_put(row, value);
	else
		pm_put_null(row);
}

/* pool: that it is of; NULL: of none that is declared. */
static void
put_process(ReturnSetInfo *result, const PmClientProcess *process, const PmPool *pool, PmViewer *viewer)
{
	const PmReport *report = &process->report;
	PmRow		row = {0};

	pm_put_text(&row, process->owner.discovered ? NULL : process->owner.name);
	pm_put_application(&row, &process->owner);
	pm_put_text(&row, process->process);
	pm_put(&row, pm_viewer_role(viewer, process->role));
	pm_put_int(&row, process->pid);
	pm_put_time(&row, process->at);
	pm_put_time(&row, process->first_at);
	put_known(&row, report->size);
	if (report->max_overflow == PM_NOT_SAID)
		pm_put_null(&row);
	else
		pm_put_int(&row, report->max_overflow);
	put_known(&row, report->open);
	put_known(&row, report->checked_out);
	put_known(&row, report->waiting);
	pm_put_bound(&row, report->sums.checkouts);
	put_of_waits(&row, report, Int64GetDatum(report->sums.waits));
	put_of_waits(&row, report, Float8GetDatum(report->sums.waited / 1000000.0));
	put_of_waits(&row, report, Int64GetDatum(report->sums.timeouts));
	pm_put_bound(&row, report->sums.creations);
	pm_put_bound(&row, report->sums.invalidations);
	put_of_waits(&row, report, Float8GetDatum(report->longest_wait / 1000000.0));
	if (report->knows_use)
		pm_put(&row, Float8GetDatum(report->sums.checked_out / 1000000.0));
	else
		pm_put_null(&row);
	pm_put_time(&row, process->timed_out_at);
	pm_put_bool(&row, pm_still_speaks(process, pool));
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_client_reports);

/* client_reports(): the last report of each process. */
Datum
pm_client_reports(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmClientProcess *processes;
	PmViewer	viewer;
	const PmRules *rules;
	PmNameIndex index;
	int			n;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_viewer_begin(&viewer);
	rules = pm_rules_current();
	pm_name_index_init(&index, rules->npools);
	for (int i = 0; i < rules->npools; i++)
		pm_name_index_add(&index, rules->pools[i].name, i);
	processes = palloc(sizeof(PmClientProcess) * pm_max_client_processes);
	n = pm_reports_copy(processes);
	for (int i = 0; i < n; i++)
	{
		int			pool = processes[i].owner.discovered ? -1 : pm_name_index_find(&index, processes[i].owner.name);

		CHECK_FOR_INTERRUPTS();
		put_process(result, &processes[i], pool >= 0 ? &rules->pools[pool] : NULL, &viewer);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(pm_report_counts_for);

/* report_counts_for() */
Datum
pm_report_counts_for(PG_FUNCTION_ARGS)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = PM_REPORT_COUNTS;
	PG_RETURN_INTERVAL_P(interval);
}
