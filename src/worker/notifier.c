/*
 * notifier.c
 *		NOTIFY pool_monitor for each event, as a JSON object.
 *
 * NOTIFY needs a database and a transaction, and the worker has neither: so it
 * sends the process of errands.c to pool_monitor.database, which tells of what is
 * new and exits. Only when somebody there LISTENs, to whatever channel (the slots
 * know no more), and at most once in NOTIFY_INTERVAL. A standby has no NOTIFY. What
 * happened while nobody listened is told to nobody, as with any NOTIFY; it is in
 * the view events. So is what is not for everybody, for anybody who may connect may
 * LISTEN: what there is to say of single sessions and logins, and of undeclared
 * applications even who they are.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "commands/async.h"
#include "events/events.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "sessions/slot.h"
#include "utils/json.h"
#include "utils/timestamp.h"
#include "worker/errands.h"
#include "worker/loading.h"
#include "worker/notifier.h"

#define NOTIFY_INTERVAL 500		/* ms */
#define RETRY_INTERVAL	10000	/* ms; when the process could not be started */

/* The worker's own. */
static uint64 errand = 0;		/* under way; 0: none */
static uint64 told_before = 0;	/* notified_seq when it began */
static int64 not_before = 0;	/* ms, monotonic */

/* Does a session LISTEN in the database of the declarations? */
static bool
anybody_listens(void)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		PmSlot	   *slot = &pm_slots->all[i];

		if (pg_atomic_read_u32(&slot->listening) != 0 && strcmp(slot->datname, pm_database) == 0)
			return true;
	}
	return false;
}

static void
begin_errand(void)
{
	Oid			database;

	not_before = pm_monotonic_ms() + NOTIFY_INTERVAL;
	if (!pm_find_database(&database) || !OidIsValid(database))
		return;
	told_before = pg_atomic_read_u64(&pm_event_ring->notified_seq);
	errand = pm_errand_begin(PM_ERRAND_NOTIFY, database, 0);
}

/* Called after pm_loading_tick(): when both want the process, the load is first. */
void
pm_notifier_tick(void)
{
	PmEvents   *events = pm_event_ring;
	uint64		last = pg_atomic_read_u64(&events->last_seq);

	if (errand != 0)
	{
		if (!pm_errand_is_over(errand))
			return;
		errand = 0;
		/* it failed, and the server log says why */
		if (pg_atomic_read_u64(&events->notified_seq) == told_before)
			not_before = pm_monotonic_ms() + RETRY_INTERVAL;
	}
	if (last == pg_atomic_read_u64(&events->notified_seq))
		return;
	if (!pm_notify_events || RecoveryInProgress() || !anybody_listens())
		pg_atomic_write_u64(&events->notified_seq, last);
	else if (pm_monotonic_ms() >= not_before && pm_errands_ready())
		begin_errand();
}

/* ---- in the process that has a database ---- */

static bool
is_for_everybody(const PmEvent *event)
{
	return !pm_event_kinds[event->kind].of_session && !event->owner.discovered;
}

static void
notify(const PmEvent *event)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"seq\": " UINT64_FORMAT ", \"at\": ", event->seq);
	escape_json(&json, timestamptz_to_str(event->at));
	appendStringInfo(&json, ", \"event\": \"%s\", \"pool\": ", pm_event_kinds[event->kind].name);
	if (!pm_event_has_owner(event) || event->owner.discovered)
		appendStringInfoString(&json, "null");
	else
		escape_json(&json, event->owner.name);
	if (event->times > 1)
		appendStringInfo(&json, ", \"times\": %u", event->times);
	if (is_for_everybody(event))
		appendStringInfo(&json, ", \"detail\": %s", event->detail);
	appendStringInfoChar(&json, '}');
	Async_Notify("pool_monitor", json.data);
	pfree(json.data);
}

/*
 * The whole errand. What an error (the queue of notifications is full) kept from
 * being told is told by the next one.
 */
void
pm_notify(void)
{
	PmEvents   *events = pm_event_ring;
	uint64		last;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	last = pg_atomic_read_u64(&events->last_seq);
	for (uint64 seq = Max(pg_atomic_read_u64(&events->notified_seq) + 1, pm_event_oldest()); seq <= last; seq++)
	{
		PmEvent		event;

		if (pm_event_read(seq, &event))
			notify(&event);
	}
	CommitTransactionCommand();
	pm_account_raise(&events->notified_seq, last);
}

/*
 * After it: with its error, or NULL. Logged once for each cause, and at DEBUG1 each time: it
 * is tried again and again, and may last for days. That a disk is full is in the error's
 * detail alone.
 */
void
pm_notify_done(const ErrorData *failure)
{
	char		cut[PM_LOAD_MESSAGE_LEN];
	const char *detail = failure && failure->detail ? failure->detail : "";

	strlcpy(cut, failure ? failure->message : "", sizeof(cut));
	if (failure != NULL)
		ereport(strcmp(pm_errands->notify_message, cut) != 0 ? LOG : DEBUG1,
				(errmsg("pool_monitor could not tell those who LISTEN of events: %s", failure->message),
				 errdetail("%s%sIt tries again every %d seconds. The events are in the view pool_monitor.events.",
						   detail, *detail ? " " : "", RETRY_INTERVAL / 1000)));
	strlcpy(pm_errands->notify_message, cut, sizeof(pm_errands->notify_message));
}
