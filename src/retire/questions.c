/*
 * questions.c
 *		The worker's questions that have no answer yet: those of the scheduled clean-up
 *		(cleanup.c), and those for a login that needs a place (yield.c).
 *
 * Of one pool one session is asked at a time, for whichever reason, and all count towards
 * recycle_limit. But the schedule's turn, and what clients answer it with (pauses.c), are
 * those of its own questions: one that gave way counts there as retired by hand.
 *
 * The worker takes its questions back when it ends.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "base/guc.h"
#include "pools/declared.h"
#include "protected/verdicts.h"
#include "retire/outcomes.h"
#include "retire/pace.h"
#include "retire/pauses.h"
#include "retire/questions.h"
#include "sessions/slot.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"

#define ANSWER_TIMEOUT	2000	/* ms; for one answer */
#define ANSWER_INTERVAL	10		/* ms; between two looks at answers */

typedef struct Question
{
	PmAsk		ask;
	int			seat;			/* for whose sake; -1: it is on schedule */
	int64		former_turn;	/* on schedule: PmPace.last_retired before it */
	int64		gap;			/* likewise; ms */
} Question;

static Question *questions = NULL;	/* most_questions() */
static int	nquestions = 0;

/* One of each account that a pool can have, (other) among them. */
static int
most_questions(void)
{
	return pm_first_application() + 1;
}

/* ---- may one be put? ---- */

/* Else those that are open are taken back. */
bool
pm_questions_allowed(void)
{
	const PmRules *rules = pm_rules_current();

	for (int i = 0; i < rules->npools; i++)
	{
		if (pm_retires(&rules->pools[i]))
			return true;
	}
	return false;
}

bool
pm_questions_full(void)
{
	return nquestions == most_questions();
}

/* Is recycle_limit used up, if all say yes? */
bool
pm_questions_at_limit(void)
{
	return pm_retirement->interval_retired + nquestions >= pm_recycle_limit;
}

bool
pm_is_asking(int account)
{
	for (int i = 0; i < nquestions; i++)
	{
		if (questions[i].ask.account == account)
			return true;
	}
	return false;
}

/* ---- putting one ---- */

/* NULL: its role has been protected since it was found. */
static Question *
put(const PmAsk *ask)
{
	Question   *question = &questions[nquestions];

	if (pm_verdict_anew(ask->session.userid, pm_slot_role(&ask->session)) != PM_REASON_NONE)
		return NULL;
	nquestions++;
	question->ask = *ask;
	question->seat = -1;
	return question;
}

/* On schedule: it uses up its pool's turn. False: it may not be asked any more. */
bool
pm_question_put(const PmAsk *ask, int64 gap, int64 now)
{
	PmPace	   *pace = pm_pace_of(ask->account);
	Question   *question = put(ask);

	if (question == NULL)
		return false;
	question->former_turn = pace->last_retired;
	question->gap = gap;
	pace->last_retired = now;
	pm_ask(&question->ask);
	return true;
}

/* For the sake of this seat's logins. */
bool
pm_question_put_for(const PmAsk *ask, int seat)
{
	Question   *question = put(ask);

	if (question == NULL)
		return false;
	question->seat = seat;
	pm_ask(&question->ask);
	return true;
}

/* ---- answers ---- */

static void
note_scheduled(const Question *question)
{
	const PmAsk *ask = &question->ask;

	/* the pace is not that of another pool, which has got the account since */
	if (pm_account_incarnation(ask->account) != ask->incarnation)
		;
	else if (ask->retired)
		pm_pauses_note_retired(ask->account, &ask->session, question->gap);
	else
		pm_pace_of(ask->account)->last_retired = question->former_turn;
}

/*
 * Who was refused before the place was free finds it at the next try, and if somebody else
 * has got it, wants one again.
 */
static void
note_given_way(const Question *question)
{
	if (question->ask.retired)
		pg_atomic_write_u64(&pm_seats->all[question->seat].wanted_at, 0);
}

/* Returns whether there was any. late: those that are still open are taken back. */
bool
pm_questions_look(bool late)
{
	int			waiting = 0;
	bool		any = false;

	for (int i = 0; i < nquestions; i++)
	{
		Question   *question = &questions[i];

		if (late || pm_monotonic_ms() - question->ask.asked_at > ANSWER_TIMEOUT)
			pm_ask_withdraw(&question->ask);
		else if (!pm_ask_settled(&question->ask))
		{
			questions[waiting++] = *question;
			continue;
		}
		if (question->seat < 0)
			note_scheduled(question);
		else
			note_given_way(question);
		pm_outcomes_note(&question->ask);
		any = true;
	}
	nquestions = waiting;
	return any;
}

/* In how many ms to look again: soon, while any is open. */
int64
pm_questions_wait(int64 otherwise)
{
	return nquestions > 0 ? ANSWER_INTERVAL : otherwise;
}

/* ---- the worker ---- */

static void
take_back_questions(int code, Datum arg)
{
	/* after an error some may still be held, and what follows takes them */
	LWLockReleaseAll();
	(void) pm_questions_look(true);
}

/* Called by the worker when it starts. */
void
pm_questions_start(void)
{
	questions = MemoryContextAllocZero(TopMemoryContext, sizeof(Question) * most_questions());
	pm_outcomes_start();
	before_shmem_exit(take_back_questions, (Datum) 0);
}
