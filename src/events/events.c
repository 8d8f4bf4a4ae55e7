/*
 * events.c
 *		Recording events, and reading them.
 *
 * Whoever notices something records it: the worker, the loader, a backend in
 * recycle() or reset(). All have a PGPROC, so the ring has an LWLock, held for
 * a few copies of an event. A reader takes one event at a time; what has gone
 * meanwhile is skipped, and the gap in the numbers shows it.
 *
 * What may come over and over is put together, so that one session cannot fill a
 * pool's share of the ring (ring.c) with one thing: see PmStretch. All that is held
 * back of a pool is let go at once and in the order in which it came last, and before
 * any other event of these kinds that is told singly, so that the pool's last event
 * tells how things stand. The work under the lock is bounded: PM_EVENT_STRETCHES.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "events/events.h"
#include "utils/timestamp.h"

/* ---- stretches; callers hold the lock ---- */

static uint64
owner_of(const PmEvent *event)
{
	uint64		hash = pm_owner_hash(&event->owner, 0);

	return hash != 0 ? hash : 1;
}

static bool
is_over(const PmStretch *stretch, int64 now)
{
	return now - stretch->begin >= PM_EVENT_STRETCH;
}

/* Is a better to be given up than b, when there is no room for another? */
static bool
matters_less(const PmStretch *a, const PmStretch *b, int64 now)
{
	if (is_over(a, now) != is_over(b, now))
		return is_over(a, now);
	return a->count < b->count;
}

/*
 * The stretch of this kind and pool, begun anew if there was none or if it is
 * over; NULL when all hold something back.
 */
static PmStretch *
stretch_of(const PmEvent *event, int64 now)
{
	uint64		owner = owner_of(event);
	PmStretch  *spare = NULL;
	PmStretch  *found = NULL;

	for (int i = 0; i < PM_EVENT_STRETCHES && found == NULL; i++)
	{
		PmStretch  *stretch = &pm_event_ring->stretches[i];

		if (stretch->owner == owner && stretch->last.kind == event->kind &&
			pm_owner_equal(&stretch->last.owner, &event->owner))
			found = stretch;
		else if (stretch->last.times == 0 && (spare == NULL || matters_less(stretch, spare, now)))
			spare = stretch;
	}
	if (found != NULL && (found->last.times > 0 || !is_over(found, now)))
		return found;
	if (found == NULL)
		found = spare;
	if (found != NULL)
	{
		found->owner = owner;
		found->begin = now;
		found->count = 0;
		found->last.kind = event->kind;
		found->last.owner = event->owner;
		found->last.times = 0;
	}
	return found;
}

/*
 * The first of what is held back of this pool, or of all (0). Not by the clock, which
 * may be set.
 */
static PmStretch *
first_held_back(uint64 owner)
{
	PmStretch  *first = NULL;

	for (int i = 0; i < PM_EVENT_STRETCHES; i++)
	{
		PmStretch  *stretch = &pm_event_ring->stretches[i];

		if (stretch->last.times > 0 && (owner == 0 || stretch->owner == owner) &&
			(first == NULL || stretch->hold < first->hold))
			first = stretch;
	}
	return first;
}

/* A pool whose time has come, 0 if there is none. */
static uint64
owner_due(int64 now)
{
	for (int i = 0; i < PM_EVENT_STRETCHES; i++)
	{
		PmStretch  *stretch = &pm_event_ring->stretches[i];

		if (stretch->last.times > 0 && is_over(stretch, now))
			return stretch->owner;
	}
	return 0;
}

static void
release(PmStretch *stretch, int64 now)
{
	stretch->last.held_back = true;
	pm_ring_append(&stretch->last);
	stretch->last.times = 0;
	stretch->begin = now;
}

/* At most one event of each kind, but for 0. */
static void
release_all_of(uint64 owner, int64 now)
{
	PmStretch  *stretch;

	while ((stretch = first_held_back(owner)) != NULL)
		release(stretch, now);
}

static void
hold_back(PmStretch *stretch, PmEvent *event)
{
	event->times = stretch->last.times + 1;
	stretch->last = *event;
	stretch->hold = ++pm_event_ring->holds;
}

/* False when it is held back. */
static bool
record(PmEvent *event, int64 now)
{
	PmStretch  *stretch = pm_event_kinds[event->kind].repeats ? stretch_of(event, now) : NULL;

	if (stretch != NULL && stretch->count >= PM_SINGLE_EVENTS)
	{
		hold_back(stretch, event);
		return false;
	}
	if (stretch != NULL)
		stretch->count++;
	/* what came before is told before */
	if (pm_event_kinds[event->kind].repeats)
		release_all_of(owner_of(event), now);
	pm_ring_append(event);
	return true;
}

/* ---- for others ---- */

static bool tell(PmEventKind kind, const PmOwner *owner, int pid, const char *format, va_list args) pg_attribute_printf(4, 0);

static bool
tell(PmEventKind kind, const PmOwner *owner, int pid, const char *format, va_list args)
{
	PmEvent		event = {0};
	int64		now = pm_monotonic_ms();
	bool		recorded;

	/* half an object would be none at all */
	if (vsnprintf(event.detail, PM_DETAIL_LEN, format, args) >= PM_DETAIL_LEN)
		strlcpy(event.detail, "{}", PM_DETAIL_LEN);
	event.kind = kind;
	event.pid = pid;
	event.times = 1;
	event.owner = *owner;
	event.at = GetCurrentTimestamp();

	LWLockAcquire(&pm_event_ring->lock, LW_EXCLUSIVE);
	recorded = record(&event, now);
	LWLockRelease(&pm_event_ring->lock);
	return recorded;
}

bool
pm_event(PmEventKind kind, const char *pool, int pid, const char *format,...)
{
	PmOwner		owner = pm_owner_pool(pool ? pool : "");
	va_list		args;
	bool		recorded;

	va_start(args, format);
	recorded = tell(kind, &owner, pid, format, args);
	va_end(args);
	return recorded;
}

bool
pm_event_of(PmEventKind kind, const PmOwner *owner, int pid, const char *format,...)
{
	va_list		args;
	bool		recorded;

	va_start(args, format);
	recorded = tell(kind, owner, pid, format, args);
	va_end(args);
	return recorded;
}

/*
 * Called by the worker at each tick: records what was held back and is due. Takes
 * the lock.
 */
void
pm_events_release_due(void)
{
	int64		now = pm_monotonic_ms();
	uint64		owner;

	LWLockAcquire(&pm_event_ring->lock, LW_EXCLUSIVE);
	while ((owner = owner_due(now)) != 0)
		release_all_of(owner, now);
	LWLockRelease(&pm_event_ring->lock);
}

void
pm_events_release_all(void)
{
	release_all_of(0, 0);
}

/*
 * Puts an event of an earlier run into its place, unless there is one of its number. Takes
 * the lock.
 */
void
pm_event_restore(const PmEvent *event)
{
	LWLockAcquire(&pm_event_ring->lock, LW_EXCLUSIVE);
	if (!pm_ring_has(event->seq))
		pm_ring_insert(event);
	LWLockRelease(&pm_event_ring->lock);
}

/*
 * No number below this is new enough for pm_event_read(), though the ring may
 * still have older events.
 */
uint64
pm_event_oldest(void)
{
	uint64		last = pg_atomic_read_u64(&pm_event_ring->last_seq);

	return last >= (uint64) pm_max_events ? last - pm_max_events + 1 : 1;
}

/* The next newer event; false after the newest. Takes the lock. */
bool
pm_event_next(PmEventCursor *cursor, PmEvent *event)
{
	bool		found;

	LWLockAcquire(&pm_event_ring->lock, LW_SHARED);
	found = pm_ring_next(cursor, event);
	LWLockRelease(&pm_event_ring->lock);
	return found;
}

bool
pm_event_next_unlocked(PmEventCursor *cursor, PmEvent *event)
{
	return pm_ring_next(cursor, event);
}

/*
 * One of the last max_events numbers; false when the ring does not have it (any
 * more). Takes the lock.
 */
bool
pm_event_read(uint64 seq, PmEvent *event)
{
	bool		found;

	LWLockAcquire(&pm_event_ring->lock, LW_SHARED);
	found = pm_ring_recent(seq, event);
	LWLockRelease(&pm_event_ring->lock);
	return found;
}

/*
 * For details: a string of any bytes as JSON in ASCII, without its quotes; at most
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
		*at++ = (unsigned char) *from < ' ' || (unsigned char) *from >= 0x7F ? '?' : *from;
	}
	*at = '\0';
	return to;
}
