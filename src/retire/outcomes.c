/*
 * outcomes.c
 *		What came of the worker's questions, on record: counters, events, log lines.
 *
 * Each session that is retired has an event and a log line; of one pool, more than
 * PM_SINGLE_EVENTS in one recycle_interval are told of in one event at its end. Each
 * that declines has an event unless it has declined for the same reason before. A
 * log line sums up the interval of a pool in which somebody declined anew, or more
 * than one was retired.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "events/ring.h"
#include "lib/stringinfo.h"
#include "retire/ask.h"
#include "retire/outcomes.h"
#include "retire/pace.h"
#include "sessions/slot.h"
#include "utils/memutils.h"

/* What happened to a pool's account since the interval began. */
typedef struct Sums
{
	char		pool[PM_NAME_LEN];	/* as it was called when it was asked */
	int			retired;
	int			told;			/* of the former, by an event each */
	bool		any_declined;
	int			declined[PM_NUM_REASONS];	/* for the first time so */
} Sums;

static Sums *sums_of = NULL;	/* one for each account */

/* "2 temporary schema, 1 session-level lock"; empty when none declined. */
static char *
describe_declines(const Sums *sums)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int reason = 1; reason < PM_NUM_REASONS; reason++)
	{
		if (sums->declined[reason] > 0)
			appendStringInfo(&text, "%s%d %s", text.len > 0 ? ", " : "",
							 sums->declined[reason], pm_reason_text(reason));
	}
	return text.data;
}

/* One line for a pool with more to say than the lines of single sessions. */
static void
sum_up(const Sums *sums)
{
	const char *pool = sums->pool;
	char	   *declines;

	if (sums->retired == 0 && !sums->any_declined)
		return;
	declines = describe_declines(sums);
	pm_asks_record_more(pool, sums->retired - sums->told, "schedule");
	if (declines[0] != '\0')
		ereport(LOG,
				(errmsg("pool \"%s\": sessions retired: %d, declined: %s", pool, sums->retired, declines)));
	else if (sums->retired > 1)
		ereport(LOG,
				(errmsg("pool \"%s\": sessions retired: %d", pool, sums->retired)));
}

/* Sums up the interval that ends, and begins another. */
static void
begin_interval(int64 now)
{
	for (int i = 0; i < pm_num_accounts(); i++)
		sum_up(&sums_of[i]);
	memset(sums_of, 0, sizeof(Sums) * pm_num_accounts());
	pm_retirement->interval_begin = now;
	pm_retirement->interval_retired = 0;
}

/* Called by the worker at each turn of its loop; allocates in its context. */
void
pm_outcomes_tick(int64 now)
{
	if (pm_retirement->interval_begin == 0 || now - pm_retirement->interval_begin >= pm_recycle_interval)
		begin_interval(now);
}

static void
note_retired(const PmAsk *ask)
{
	Sums	   *sums = &sums_of[ask->account];

	pm_ask_count_late(ask);
	sums->retired++;
	pm_retirement->interval_retired++;
	if (sums->told < PM_SINGLE_EVENTS)
	{
		sums->told++;
		pm_asks_record(&ask, 1, false, "schedule");
	}
	pm_ask_log(ask, LOG);
}

/*
 * It is not asked again before a recycle_interval has passed. A decline is counted
 * each time, and told when it is new: a pinned session stays so for hours.
 */
static void
note_kept(const PmAsk *ask)
{
	PmSlot	   *slot = &pm_slots->all[ask->session.index];
	Sums	   *sums = &sums_of[ask->account];
	bool		new = slot->declined_start != ask->session.backend_start || slot->declined_reason != ask->reason;

	slot->declined_start = ask->session.backend_start;
	slot->declined_reason = ask->reason;
	slot->declined_at = pm_monotonic_ms();
	if (!pm_ask_was_declined(ask))
		return;
	pm_ask_count_decline(ask);
	if (!new)
		return;
	sums->declined[ask->reason]++;
	sums->any_declined = true;
	pm_asks_record(&ask, 1, true, "schedule");
}

/* Was it asked in vain less than a recycle_interval ago? */
bool
pm_asked_lately(const PmSession *session, int64 now)
{
	const PmSlot *slot = &pm_slots->all[session->index];

	return slot->declined_start == session->backend_start && now - slot->declined_at < pm_recycle_interval;
}

/*
 * At its last question, for whatever reason? Somebody could have many sessions that
 * decline each time, and keep all others from being asked.
 */
bool
pm_has_declined(const PmSession *session)
{
	return pm_slots->all[session->index].declined_start == session->backend_start;
}

/* The answer, or that there is none. */
void
pm_outcomes_note(const PmAsk *ask)
{
	strlcpy(sums_of[ask->account].pool, ask->pool_name, PM_NAME_LEN);
	if (ask->retired)
		note_retired(ask);
	else
		note_kept(ask);
}

/* Called by the worker when it starts. */
void
pm_outcomes_start(void)
{
	sums_of = MemoryContextAllocZero(TopMemoryContext, sizeof(Sums) * pm_num_accounts());
}
