/*
 * recycle.c
 *		recycle(): retires over-age sessions by hand.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/reason.h"
#include "base/result.h"
#include "base/shmem.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "protected/verdicts.h"
#include "retire/ask.h"
#include "retire/eligible.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "views/common.h"
#include "views/reload.h"

#define ANSWER_TIMEOUT	2000	/* ms; of all sessions together */
#define ANSWER_INTERVAL	1		/* ms; between two looks */

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
	const PmSession *session;
	int			room = 64;
	int			found = 0;

	*candidates = palloc(sizeof(Candidate) * room);
	pm_verdicts_begin(-1);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(tally, session);
		PmFlags		flags = pm_tally_flags(tally, session);
		Candidate  *candidate;

		if (!flags.over_age || (pool >= 0 && class->pool != pool))
			continue;
		if (found == room)
		{
			room *= 2;
			*candidates = repalloc_huge(*candidates, sizeof(Candidate) * room);
		}
		candidate = &(*candidates)[found++];
		pm_ask_init(&candidate->ask, session, class->pool, tally->rules, flags.stale ? PM_RULE_STALE : PM_RULE_IDLE);
		candidate->visible = pm_may_see(session->userid);
		candidate->asked = false;
		candidate->keep = pm_keep_reason(tally, class, session, &flags, false);
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
			pm_ask_count_late(&candidates[i].ask);
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

/* The questions of one call of recycle(). */
typedef struct Questions
{
	Candidate  *candidates;
	int			n;
	const char *caller;
	MemoryContext context;
} Questions;

/*
 * No question outlives the call, however it ends, and what was answered is on
 * record. Also before_shmem_exit, when the caller is terminated.
 */
static void
close_questions(int code, Datum arg)
{
	Questions  *questions = (Questions *) DatumGetPointer(arg);
	MemoryContext before = MemoryContextSwitchTo(questions->context);

	/* after an error some may still be held, and what follows takes them */
	LWLockReleaseAll();
	withdraw_all(questions->candidates, questions->n);
	record_answers(questions->candidates, questions->n, questions->caller);
	MemoryContextSwitchTo(before);
}

static void
ask_all(Candidate *candidates, int n)
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
}

static void
ask_and_wait(Candidate *candidates, int n)
{
	Questions	questions = {
		.candidates = candidates,
		.n = n,
		.caller = GetUserNameFromId(GetUserId(), false),
		.context = CurrentMemoryContext,
	};

	PG_ENSURE_ERROR_CLEANUP(close_questions, PointerGetDatum(&questions));
	{
		int64		deadline;

		ask_all(candidates, n);
		deadline = pm_monotonic_ms() + ANSWER_TIMEOUT;
		while (!all_settled(candidates, n) && pm_monotonic_ms() < deadline)
			pm_nap("PoolMonitorRecycle", ANSWER_INTERVAL);
	}
	PG_END_ENSURE_ERROR_CLEANUP(close_questions, PointerGetDatum(&questions));
	close_questions(0, PointerGetDatum(&questions));
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
	pm_put_text(&row, ask->application_name);
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
	PmLoadOutcome outcome;
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
	pm_wait_for_load(pg_atomic_read_u64(&pm_declarations->load_requested), &outcome);
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
