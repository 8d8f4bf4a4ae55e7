/*
 * recycle.c
 *		SQL functions that act: recycle(), reload(); and version().
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/result.h"
#include "catalog/pg_authid.h"
#include "client/session.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "pools/rows.h"
#include "pools/schedule.h"
#include "retire/ask.h"
#include "retire/eligible.h"
#include "retire/verdicts.h"
#include "sessions/tally.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define ANSWER_TIMEOUT	2000	/* ms; of all sessions together */
#define ANSWER_INTERVAL	1		/* ms; between two looks */
#define LOAD_TIMEOUT	10000	/* ms */
#define LOAD_INTERVAL	10		/* ms */

/* Sleeps for ms milliseconds, or until something wakes this process. */
static void
nap(const char *wait_event, long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 pm_wait_event(wait_event));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* ---- waiting for the declarations ---- */

typedef struct LoadOutcome
{
	PmLoadResult result;
	int			in_force;
	char		message[PM_LOAD_MESSAGE_LEN];
} LoadOutcome;

static bool
load_finished(uint64 ticket, LoadOutcome *outcome)
{
	bool		finished;

	LWLockAcquire(pm_shared->lock, LW_SHARED);
	finished = pm_shared->load_done >= ticket;
	outcome->result = pm_shared->load_result;
	outcome->in_force = Min(pm_shared->load_declared, pm_max_pools);
	strlcpy(outcome->message, pm_shared->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(pm_shared->lock);
	return finished;
}

/*
 * Waits until the load with this ticket is done; raises an error when it failed
 * or takes too long.
 */
static void
wait_for_load(uint64 ticket, LoadOutcome *outcome)
{
	int64		deadline = pm_monotonic_ms() + LOAD_TIMEOUT;

	while (!load_finished(ticket, outcome))
	{
		if (pm_monotonic_ms() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the declared pools were not loaded within %d seconds", LOAD_TIMEOUT / 1000),
					 errhint("The load was asked for and will be done. Look into the server log for what keeps the workers \"pool_monitor\" and \"pool_monitor errands\".")));
		nap("PoolMonitorReload", LOAD_INTERVAL);
	}
	if (outcome->result != PM_LOAD_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not load the declared pools: %s", outcome->message),
				 errhint("%s", pm_load_hint(outcome->result))));
}

/* ---- recycle() ---- */

typedef struct Candidate
{
	PmAsk		ask;
	bool		visible;
	bool		asked;
	PmReason	keep;			/* why it is not asked */
} Candidate;

static int
find_pool(const PmRules *rules, const char *name)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (strcmp(rules->pools[i].name, name) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no declared pool \"%s\"", name),
			 errhint("See pool_monitor.budgets for the pools that are loaded.")));
}

/* Every over-age session of the pool, or of all pools when it is -1. */
static int
find_over_age(PmTally *tally, int pool, Candidate **candidates)
{
	PmScan		scan;
	PmSession	session;
	int			room = 64;
	int			found = 0;

	*candidates = palloc(sizeof(Candidate) * room);
	pm_verdicts_begin(-1);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(tally, &session);
		PmFlags		flags = pm_tally_flags(tally, class, &session);
		Candidate  *candidate;

		if (!flags.over_age || (pool >= 0 && class->pool != pool))
			continue;
		if (found == room)
		{
			room *= 2;
			*candidates = repalloc_huge(*candidates, sizeof(Candidate) * room);
		}
		candidate = &(*candidates)[found++];
		pm_ask_init(&candidate->ask, &session, class->pool, tally->rules, &flags);
		candidate->visible = pm_may_see(session.userid);
		candidate->asked = false;
		candidate->keep = pm_keep_reason(tally, class, &session, &flags, false);
	}
	qsort(*candidates, found, sizeof(Candidate), pm_ask_compare_age);
	return found;
}

static bool
all_settled(Candidate *candidates, int n)
{
	bool		settled = true;

	for (int i = 0; i < n; i++)
	{
		if (candidates[i].asked && !pm_ask_settled(&candidates[i].ask))
			settled = false;
	}
	return settled;
}

static void
withdraw_all(Candidate *candidates, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (candidates[i].asked)
			pm_ask_withdraw(&candidates[i].ask);
	}
}

/*
 * The whole of it is on record; the server log says who asked. Looks nothing up:
 * also called while an error is under way.
 */
static void
record_answers(const Candidate *candidates, int n, const char *caller)
{
	const PmAsk **asked = palloc(Max(n, 1) * sizeof(PmAsk *));
	int			nasked = 0;
	int			retired = 0;
	int			declined = 0;

	for (int i = 0; i < n; i++)
	{
		if (!candidates[i].asked)
			continue;
		asked[nasked++] = &candidates[i].ask;
		if (candidates[i].ask.retired)
		{
			pm_ask_log(&candidates[i].ask, LOG_SERVER_ONLY);
			retired++;
		}
		else
			declined++;
		if (pm_ask_was_declined(&candidates[i].ask))
			pm_ask_count_decline(&candidates[i].ask);
	}
	pm_asks_record(asked, nasked, true, "recycle()");
	if (retired + declined > 0)
		ereport(LOG_SERVER_ONLY,
				(errmsg("pool_monitor.recycle() called by role \"%s\": stale sessions retired: %d, declined: %d",
						caller, retired, declined)));
}

/*
 * No question outlives this call, however it ends, and what was answered is on
 * record.
 */
static void
ask_and_wait(Candidate *candidates, int n)
{
	MemoryContext context = CurrentMemoryContext;
	const char *caller = GetUserNameFromId(GetUserId(), false);
	int64		deadline;

	PG_TRY();
	{
		for (int i = 0; i < n; i++)
		{
			const PmSession *session = &candidates[i].ask.session;

			/* the roles may have changed since it was found */
			if (candidates[i].keep == PM_REASON_NONE)
				candidates[i].keep = pm_verdict_anew(session->userid, pm_slot_role(session));
			if (candidates[i].keep == PM_REASON_NONE)
			{
				candidates[i].asked = true;
				pm_ask(&candidates[i].ask);
			}
		}
		deadline = pm_monotonic_ms() + ANSWER_TIMEOUT;
		while (!all_settled(candidates, n) && pm_monotonic_ms() < deadline)
			nap("PoolMonitorRecycle", ANSWER_INTERVAL);
	}
	PG_FINALLY();
	{
		MemoryContext before = MemoryContextSwitchTo(context);

		withdraw_all(candidates, n);
		record_answers(candidates, n, caller);
		MemoryContextSwitchTo(before);
	}
	PG_END_TRY();
}

static void
put_candidate(ReturnSetInfo *result, const Candidate *candidate, const PmTally *tally, bool dry_run)
{
	const PmAsk *ask = &candidate->ask;
	const PmSession *session = &ask->session;
	bool		idle = session->state == PM_STATE_IDLE;
	PmRow		row = {0};

	pm_put_int(&row, session->pid);
	pm_put_time(&row, candidate->visible ? session->backend_start : 0);
	pm_put_text(&row, candidate->visible || !tally->rules->by_client_addr ?
				tally->rules->pools[ask->pool].name : NULL);
	pm_put_text(&row, session->application_name);
	pm_put_age(&row, candidate->visible ? pm_ask_age(ask, tally->now, tally->at) : -1);
	pm_put_age(&row, candidate->visible && idle ? pm_ask_idle(ask, tally->now, tally->at) : -1);
	if (candidate->keep != PM_REASON_NONE)
	{
		pm_put_text(&row, "kept");
		pm_put_text(&row, pm_reason_text(candidate->keep));
	}
	else if (dry_run)
	{
		pm_put_text(&row, "would_retire");
		pm_put_null(&row);
	}
	else
	{
		pm_put_text(&row, ask->retired ? "retired" : "declined");
		pm_put_text(&row, ask->retired ? NULL : pm_reason_text(ask->reason));
	}
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_recycle);

/*
 * recycle(pool text, dry_run bool). Whether the caller may act at all is the
 * rule of pg_terminate_backend(); superusers' sessions are never retired, by
 * anybody.
 */
Datum
pm_recycle(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		dry_run = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	Candidate  *candidates;
	LoadOutcome outcome;
	PmTally		tally;
	int			pool = -1;
	int			n;

	pm_require_preload();
	if (!dry_run && !has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to retire sessions"),
				 errhint("recycle(dry_run => false) needs the privileges of the role pg_signal_backend.")));
	InitMaterializedSRF(fcinfo, 0);

	/* never by rules that are out of date: who just said "off" means it */
	wait_for_load(pg_atomic_read_u64(&pm_shared->load_requested), &outcome);
	pm_tally_begin(&tally);
	if (!PG_ARGISNULL(0))
		pool = find_pool(tally.rules, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	n = find_over_age(&tally, pool, &candidates);
	if (!dry_run)
		ask_and_wait(candidates, n);
	for (int i = 0; i < n; i++)
	{
		/* that a session is over age at all is not for everybody to see */
		if (candidates[i].visible || candidates[i].asked)
			put_candidate(result, &candidates[i], &tally, dry_run);
	}
	return (Datum) 0;
}

/* ---- reload() ---- */

PG_FUNCTION_INFO_V1(pm_reload);

/*
 * Reads the declarations again, as they are committed, and waits for it: the
 * number of pools in force, or the reason why not as an error.
 */
Datum
pm_reload(PG_FUNCTION_ARGS)
{
	LoadOutcome outcome;
	uint64		ticket;

	pm_require_preload();
	ticket = pg_atomic_add_fetch_u64(&pm_shared->load_requested, 1);
	pm_wake_worker();
	wait_for_load(ticket, &outcome);
	PG_RETURN_INT32(outcome.in_force);
}

PG_FUNCTION_INFO_V1(pm_declarations_loaded);

/* declarations_loaded(). */
Datum
pm_declarations_loaded(PG_FUNCTION_ARGS)
{
	Oid			database;
	Oid			table;

	pm_require_preload();
	pm_load_watch(&database, &table);
	PG_RETURN_BOOL(OidIsValid(database));
}

/* ---- the schedule's arithmetic ---- */

PG_FUNCTION_INFO_V1(pm_window_is_valid);

/* window_is_valid(text), for the constraint of pools.recycle_window. */
Datum
pm_window_is_valid(PG_FUNCTION_ARGS)
{
	PmWindow	window;

	PG_RETURN_BOOL(pm_window_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &window) == NULL);
}

PG_FUNCTION_INFO_V1(pm_in_window);

/* in_window(recycle_window text, at timestamptz). */
Datum
pm_in_window(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	PmWindow	window;
	const char *wrong = pm_window_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &window);

	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid recycle_window: %s", wrong)));
	if (TIMESTAMP_NOT_FINITE(at))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(pm_window_open(&window, at));
}

PG_FUNCTION_INFO_V1(pm_retirement_gap_sql);

/* retirement_gap(lifetime interval, connections int). */
Datum
pm_retirement_gap_sql(PG_FUNCTION_ARGS)
{
	Interval   *lifetime = PG_GETARG_INTERVAL_P(0);
	int32		connections = PG_GETARG_INT32(1);
	Interval   *gap;
	int64		us;

	if (connections < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connections must be 1 or more, not %d", connections)));
	if (!pm_interval_us(lifetime, &us) || us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lifetime must be neither negative nor too long to count in microseconds")));
	gap = palloc0(sizeof(Interval));
	gap->time = pm_retirement_gap(us, connections);
	PG_RETURN_INTERVAL_P(gap);
}

/* ---- version() ---- */

PG_FUNCTION_INFO_V1(pm_version);

Datum
pm_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(PM_VERSION));
}
