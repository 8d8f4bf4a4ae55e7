/*
 * ask.c
 *		Asking one session to end itself, and getting its answer.
 *
 * The protocol is drawn in slot.h beside PmRequestState; the answer is given
 * in answer.c. A question is a PmAsk: put by pm_ask(), then polled by
 * pm_ask_settled() until it is answered, or withdrawn by pm_ask_withdraw().
 */
#include "postgres.h"

#include <signal.h>

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/place.h"
#include "base/clock.h"
#include "events/events.h"
#include "retire/ask.h"
#include "retire/signals.h"
#include "sessions/slot.h"
#include "utils/timestamp.h"

void
pm_ask_init(PmAsk *ask, const PmSession *session, int pool, const PmRules *rules,
			PmRetireRule rule)
{
	memset(ask, 0, sizeof(*ask));
	ask->session = *session;
	ask->session.class = NULL;	/* it may be gone before the answer is there */
	strlcpy(ask->application_name, session->class->application_name, NAMEDATALEN);
	ask->pool = pool;
	ask->account = rules->accounts[pool];
	ask->incarnation = rules->incarnations[pool];
	strlcpy(ask->pool_name, rules->pools[pool].name, PM_NAME_LEN);
	ask->rule = rule;
	ask->min_age = rule == PM_RULE_STALE ? pm_least_age(&rules->pools[pool]) : -1;
	ask->min_idle = rule == PM_RULE_STALE ? rules->pools[pool].recycle_grace : rules->pools[pool].idle_limit;
	if (!pm_slot_stamps(session, &ask->begun_at, &ask->used_at))
		ask->begun_at = ask->used_at = 0;
}

/*
 * How old the session is at a moment by both clocks, and how long it has been idle,
 * in us: by the younger of the two. Also after it is gone, and its slot another's.
 */
int64
pm_ask_age(const PmAsk *ask, TimestampTz now, int64 at)
{
	int64		age = pm_elapsed(ask->session.backend_start, now);

	return ask->begun_at == 0 ? age : Min(age, pm_elapsed(ask->begun_at, at));
}

int64
pm_ask_idle(const PmAsk *ask, TimestampTz now, int64 at)
{
	int64		idle = pm_elapsed(ask->session.state_change, now);

	return ask->used_at == 0 ? idle : Min(idle, pm_elapsed(ask->used_at, at));
}

/* For qsort: the oldest session first. */
int
pm_ask_compare_age(const void *a, const void *b)
{
	int64		left = ((const PmAsk *) a)->begun_at;
	int64		right = ((const PmAsk *) b)->begun_at;

	return left < right ? -1 : left > right;
}

/* Caller holds ask_lock. May the question be put, given the slot's last one? */
static bool
may_ask(const PmSlot *slot, uint64 request, const PmSession *session, int64 now)
{
	switch (PM_REQUEST_STATE(request))
	{
		case PM_REQUEST_ASKED:
		case PM_REQUEST_DECLINED:
			return now - slot->asked_at > PM_ABANDONED_AFTER;
		case PM_REQUEST_RETIRING:
			return slot->asked_backend_start != session->backend_start &&
				now - slot->asked_at > PM_ABANDONED_AFTER;
		case PM_REQUEST_NONE:
			return true;
	}
	return false;				/* keep the compiler quiet */
}

/* Caller holds ask_lock exclusively, so the signalled process is the session's. */
static PmReason
put_question(PmAsk *ask, PmSlot *slot, int64 now)
{
	uint64		request = pg_atomic_read_u64(&slot->request);
	uint64		ticket;

	if (!pm_slot_is(&ask->session))
		return PM_REASON_GONE;
	if (!may_ask(slot, request, &ask->session, now))
		return PM_REASON_ASKED_ALREADY;

	slot->asked_backend_start = ask->session.backend_start;
	slot->asked_min_age = ask->min_age;
	slot->asked_min_idle = ask->min_idle;
	slot->asked_at = now;
	pg_write_barrier();
	ticket = pg_atomic_add_fetch_u64(&pm_slots->ticket, 1);
	if (!pg_atomic_compare_exchange_u64(&slot->request, &request,
										PM_REQUEST(ticket, PM_REQUEST_ASKED, PM_REASON_NONE)))
		return PM_REASON_ASKED_ALREADY;
	ask->ticket = ticket;
	kill(ask->session.pid, SIGUSR2);
	return PM_REASON_NONE;
}

/* Asks the session to end itself. Takes ask_lock; raises nothing. */
void
pm_ask(PmAsk *ask)
{
	int64		now = pm_monotonic_ms();

	if (pm_catches_sigusr2(ask->session.pid))
	{
		LWLockAcquire(&pm_slots->ask_lock.lock, LW_EXCLUSIVE);
		ask->reason = put_question(ask, &pm_slots->all[ask->session.index], now);
		LWLockRelease(&pm_slots->ask_lock.lock);
	}
	else
		ask->reason = pm_slot_is(&ask->session) ? PM_REASON_NO_HANDLER : PM_REASON_GONE;
	ask->asked_at = now;
	ask->answered = ask->reason != PM_REASON_NONE;
}

/*
 * Is there an answer, and if it was yes, has the session given up its slot? No
 * lock. An answer that was not read for long may have been overwritten by another
 * asker's question: then all that is known is whether the session is still there.
 */
bool
pm_ask_settled(PmAsk *ask)
{
	PmSlot	   *slot = &pm_slots->all[ask->session.index];

	if (!ask->answered)
	{
		uint64		request = pg_atomic_read_u64(&slot->request);

		if (PM_REQUEST_TICKET(request) != ask->ticket)
		{
			ask->answered = true;
			ask->reason = pm_slot_is(&ask->session) ? PM_REASON_NO_ANSWER : PM_REASON_GONE;
		}
		else if (PM_REQUEST_STATE(request) != PM_REQUEST_ASKED)
		{
			ask->answered = true;
			ask->retired = PM_REQUEST_STATE(request) == PM_REQUEST_RETIRING;
			ask->reason = PM_REQUEST_REASON(request);
			/* read: the next one may ask */
			if (!ask->retired)
				(void) pg_atomic_compare_exchange_u64(&slot->request, &request,
													  PM_REQUEST(0, PM_REQUEST_NONE, PM_REASON_NONE));
		}
	}
	if (ask->retired)
	{
		uint64		request = PM_REQUEST(ask->ticket, PM_REQUEST_RETIRING, PM_REASON_NONE);

		if (pm_slot_is(&ask->session))
			return false;
		(void) pg_atomic_compare_exchange_u64(&slot->request, &request,
											  PM_REQUEST(0, PM_REQUEST_NONE, PM_REASON_NONE));
	}
	return ask->answered;
}

/* Takes the question back; the answer counts if it came first. Takes no lock. */
void
pm_ask_withdraw(PmAsk *ask)
{
	uint64		request = PM_REQUEST(ask->ticket, PM_REQUEST_ASKED, PM_REASON_NONE);

	if (ask->answered)
		return;
	if (pg_atomic_compare_exchange_u64(&pm_slots->all[ask->session.index].request, &request,
									   PM_REQUEST(0, PM_REQUEST_NONE, PM_REASON_NONE)))
	{
		ask->answered = true;
		ask->reason = PM_REASON_NO_ANSWER;
	}
	else
		(void) pm_ask_settled(ask);
}

/* Did the session say no, or nothing at all? Not so if it ended by itself. */
bool
pm_ask_was_declined(const PmAsk *ask)
{
	return ask->answered && !ask->retired &&
		ask->reason != PM_REASON_GONE && ask->reason != PM_REASON_ASKED_ALREADY;
}

void
pm_ask_count_decline(const PmAsk *ask)
{
	PmPlace		place = {.account = ask->account,.incarnation = ask->incarnation};
	int			account = pm_account_hold(place);

	pm_account_add(account, PM_DECLINED, 1);
	pg_atomic_fetch_add_u64(&pm_accounts->all[account].declines[ask->reason], 1);
	pm_account_let_go(account);
}

/*
 * A client that recycles as declared never uses a connection that is past its age and
 * the margin. Of a session that was retired for its age.
 */
void
pm_ask_count_late(const PmAsk *ask)
{
	PmPlace		place = {.account = ask->account,.incarnation = ask->incarnation};
	int			account;

	if (ask->rule != PM_RULE_STALE || ask->begun_at == 0 || ask->used_at - ask->begun_at <= ask->min_age)
		return;
	account = pm_account_hold(place);
	pm_account_add(account, PM_RETIRED_LATE, 1);
	pm_account_let_go(account);
}

static const char *
rule_name(const PmAsk *ask)
{
	switch (ask->rule)
	{
		case PM_RULE_STALE:
			return "stale";
		case PM_RULE_IDLE:
			return "idle";
		case PM_RULE_GIVES_WAY:
			return "gave way";
	}
	return "";					/* keep the compiler quiet */
}

/* ---- events ---- */

static void
record_one(const PmAsk *ask, const char *by)
{
	const PmSession *session = &ask->session;
	TimestampTz now = GetCurrentTimestamp();
	int64		at = pm_monotonic_us();
	char		name[2 * NAMEDATALEN];
	char		reason[80] = "";

	if (!ask->retired)
		snprintf(reason, sizeof(reason), ", \"reason\": \"%s\"", pm_reason_text(ask->reason));
	pm_event(ask->retired ? PM_EVENT_RETIRED : PM_EVENT_DECLINED, ask->pool_name, session->pid,
			 "{\"application_name\": \"%s\", \"backend_start\": \"%s\", \"age\": %.3f, \"idle\": %.3f, \"rule\": \"%s\", \"by\": \"%s\"%s}",
			 pm_json_escape(name, ask->application_name), timestamptz_to_str(session->backend_start),
			 pm_ask_age(ask, now, at) / 1000000.0, pm_ask_idle(ask, now, at) / 1000000.0, rule_name(ask), by, reason);
}

/* One event for sessions that were retired and are not told of singly; none for none. */
void
pm_asks_record_more(const char *pool, int sessions, const char *by)
{
	if (sessions > 0)
		pm_event(PM_EVENT_RETIRED, pool, 0, "{\"further_sessions\": %d, \"by\": \"%s\"}", sessions, by);
}

/* Of sessions that were retired, one for each pool. */
static void
record_rest(const PmAsk *const *asks, int n, const char *by)
{
	bool	   *told = palloc0(Max(n, 1) * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		int			same = 0;

		for (int j = i; j < n; j++)
		{
			if (told[j] || asks[j]->pool != asks[i]->pool)
				continue;
			told[j] = true;
			same++;
		}
		pm_asks_record_more(asks[i]->pool_name, same, by);
	}
	pfree(told);
}

/*
 * An event for each session that was retired, and one for each pool for what is more
 * than PM_SINGLE_EVENTS; with declines also for each that was not, which events.c puts
 * together when they are many. by is ASCII.
 */
void
pm_asks_record(const PmAsk *const *asks, int n, bool declines, const char *by)
{
	const PmAsk **rest = palloc(Max(n, 1) * sizeof(PmAsk *));
	int			nrest = 0;
	int			ntold = 0;

	for (int i = 0; i < n; i++)
	{
		if (asks[i]->retired && ++ntold > PM_SINGLE_EVENTS)
			rest[nrest++] = asks[i];
		else if (asks[i]->retired || (declines && pm_ask_was_declined(asks[i])))
			record_one(asks[i], by);
	}
	record_rest(rest, nrest, by);
	pfree(rest);
}

/* One line for a session that was retired: which, and why. */
void
pm_ask_log(const PmAsk *ask, int elevel)
{
	const PmSession *session = &ask->session;
	TimestampTz now = GetCurrentTimestamp();
	int64		at = pm_monotonic_us();

	ereport(elevel,
			(errmsg("pool \"%s\": session retired: PID %d, application \"%s\", begun %s",
					ask->pool_name, session->pid, ask->application_name,
					timestamptz_to_str(session->backend_start)),
			 errdetail("Rule: %s. Age %.3f s, idle %.3f s.", rule_name(ask),
					   pm_ask_age(ask, now, at) / 1000000.0, pm_ask_idle(ask, now, at) / 1000000.0),
			 errhidestmt(true)));
}
