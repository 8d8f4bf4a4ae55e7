/*
 * events.c
 *		The ring of events.
 *
 * Whoever notices something records it: the worker, the loader, a backend in
 * recycle() or reset(). All have a PGPROC, so the ring has an LWLock, held for
 * one memcpy. A reader takes one event at a time; what was overwritten
 * meanwhile is skipped, and the gap in the numbers shows it.
 */
#include "postgres.h"

#include "events.h"
#include "guc.h"
#include "shmem.h"
#include "utils/timestamp.h"

Size
pm_events_size(void)
{
	return add_size(offsetof(PmEvents, ring), mul_size(pm_max_events, sizeof(PmEvent)));
}

void
pm_events_init(PmEvents *events)
{
	memset(events, 0, pm_events_size());
	pg_atomic_init_u64(&events->last_seq, 0);
	pg_atomic_init_u64(&events->notified_seq, 0);
}

const char *
pm_event_name(PmEventKind kind)
{
	static const char *const names[PM_NUM_EVENTS] = {
		[PM_EVENT_STARTED] = "started",
		[PM_EVENT_STATISTICS_LOST] = "statistics_lost",
		[PM_EVENT_STATISTICS_RESET] = "statistics_reset",
		[PM_EVENT_DECLARATIONS_LOADED] = "declarations_loaded",
		[PM_EVENT_APPLICATIONS_FULL] = "applications_full",
		[PM_EVENT_CLOCK_SET_BACK] = "clock_set_back",
		[PM_EVENT_OVER_BUDGET] = "over_budget",
		[PM_EVENT_BACK_IN_BUDGET] = "back_in_budget",
		[PM_EVENT_EXHAUSTED] = "exhausted",
		[PM_EVENT_NO_LONGER_EXHAUSTED] = "no_longer_exhausted",
		[PM_EVENT_STORM] = "storm",
		[PM_EVENT_STORM_OVER] = "storm_over",
		[PM_EVENT_REFUSED] = "refused",
		[PM_EVENT_REFUSED_OVER] = "refused_over",
		[PM_EVENT_LEAK_SUSPECT] = "leak_suspect",
		[PM_EVENT_RETIREMENT_PAUSED] = "retirement_paused",
		[PM_EVENT_RETIREMENT_RESUMED] = "retirement_resumed",
		[PM_EVENT_RETIRED] = "retired",
		[PM_EVENT_DECLINED] = "declined",
		[PM_EVENT_CLOCK_STEP] = "clock_step",
	};

	return names[kind];
}

void
pm_event(PmEventKind kind, const char *pool, bool discovered, int pid, const char *format,...)
{
	PmEvents   *events = pm_shared->events;
	PmEvent		event = {0};
	va_list		args;

	va_start(args, format);
	/* half an object would be none at all */
	if (vsnprintf(event.detail, PM_DETAIL_LEN, format, args) >= PM_DETAIL_LEN)
		strlcpy(event.detail, "{}", PM_DETAIL_LEN);
	va_end(args);
	event.kind = kind;
	event.pid = pid;
	event.discovered = discovered;
	strlcpy(event.pool, pool ? pool : "", PM_NAME_LEN);
	event.at = GetCurrentTimestamp();

	LWLockAcquire(pm_shared->events_lock, LW_EXCLUSIVE);
	event.seq = pg_atomic_read_u64(&events->last_seq) + 1;
	events->ring[event.seq % pm_max_events] = event;
	pg_atomic_write_u64(&events->last_seq, event.seq);
	LWLockRelease(pm_shared->events_lock);
}

/* The number of the oldest event that the ring can still have. */
uint64
pm_event_oldest(void)
{
	uint64		last = pg_atomic_read_u64(&pm_shared->events->last_seq);

	return last >= (uint64) pm_max_events ? last - pm_max_events + 1 : 1;
}

/*
 * What is in the place of the event with this number, whichever it is; false
 * when it is none. Takes events_lock.
 */
bool
pm_event_at(uint64 seq, PmEvent *event)
{
	LWLockAcquire(pm_shared->events_lock, LW_SHARED);
	*event = pm_shared->events->ring[seq % pm_max_events];
	LWLockRelease(pm_shared->events_lock);
	return event->seq != 0;
}

/* False when the ring does not have it (any more). Takes events_lock. */
bool
pm_event_read(uint64 seq, PmEvent *event)
{
	return pm_event_at(seq, event) && event->seq == seq;
}

/*
 * For details: a printable ASCII string as JSON, without its quotes; at most
 * twice as long.
 */
char *
pm_json_escape(char *to, const char *from)
{
	char	   *at = to;

	for (; *from != '\0'; from++)
	{
		if (*from == '"' || *from == '\\')
			*at++ = '\\';
		*at++ = (unsigned char) *from < ' ' ? '?' : *from;
	}
	*at = '\0';
	return to;
}
