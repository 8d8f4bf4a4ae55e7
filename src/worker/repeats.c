/*
 * repeats.c
 *		Events that came too often to be told singly, in the log.
 */
#include "postgres.h"

#include "events/events.h"
#include "utils/timestamp.h"
#include "worker/statuses.h"

static void
log_repeats(const PmEvent *event)
{
	const char *name = pm_event_kinds[event->kind].name;
	const char *at = timestamptz_to_str(event->at);

	if (event->kind == PM_EVENT_DECLARATIONS_LOADED)
		ereport(LOG,
				(errmsg("pool_monitor loaded the declared pools %u more times, the last at %s", event->times, at),
				 errdetail("%s", event->detail)));
	else if (!pm_event_kinds[event->kind].of_status)
		return;
	else if (pm_event_has_owner(event))
		ereport(LOG,
				(errmsg("pool \"%s\": \"%s\" %u more times, the last at %s", event->owner.name, name, event->times, at),
				 errdetail("%s", event->detail)));
	else
		ereport(LOG,
				(errmsg("the server: \"%s\" %u more times, the last at %s", name, event->times, at),
				 errdetail("%s", event->detail)));
}

/*
 * Records what is due of what was held back. Of statuses, which have lines in the
 * log, one tells of all that came onto the record so since the last tick, whoever let
 * them go.
 */
void
pm_tell_of_repeats(void)
{
	static PmEventCursor logged = {0};
	static bool begun = false;
	PmEvent		event;

	/* what is there when the worker begins is an earlier one's */
	if (!begun)
		logged.seq = pg_atomic_read_u64(&pm_event_ring->last_seq);
	begun = true;
	pm_events_release_due();
	while (pg_atomic_read_u64(&pm_event_ring->last_seq) > logged.seq && pm_event_next(&logged, &event))
	{
		if (event.held_back)
			log_repeats(&event);
	}
}
