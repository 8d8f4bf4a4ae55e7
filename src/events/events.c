/*
 * events.c
 *		The ring of events.
 *
 * Whoever notices something records it: the worker, the loader, a backend in
 * recycle() or reset(). All have a PGPROC, so the ring has an LWLock, held for
 * a few copies of an event. A reader takes one event at a time; what has gone
 * meanwhile is skipped, and the gap in the numbers shows it.
 *
 * Nobody can wash the others' events out
 * --------------------------------------
 * One session that changes its application_name in and out of a pool could fill
 * the ring with that pool's events. Two things are against it:
 *
 *	Shares	When the ring is full, the oldest event of the pool that has the most
 *			goes, not the oldest of all. So a pool loses events to another only
 *			down to what is left when all that have some have the same number;
 *			and where only one is busy it has all the room that the others leave.
 *	Stretches	What may come over and over is put together: see PmStretch. All
 *			that is held back of a pool is let go at once and in the order in
 *			which it came last, and before any other event of these kinds that
 *			is told singly, so that the pool's last event tells how things stand.
 *
 * The work under the lock is bounded: PM_EVENT_SHARES counters, PM_EVENT_STRETCHES
 * stretches. (But a reader whose place has gone looks for it from the oldest on.)
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "common/hashfn.h"
#include "events/events.h"
#include "utils/timestamp.h"

#define SERVER_SHARE		0
#define DISCOVERED_SHARE	1
#define FIRST_POOL_SHARE	2

PmEvents   *pm_event_ring = NULL;

static Size
events_size(void)
{
	Size		size = offsetof(PmEvents, ring);

	size = add_size(size, mul_size(pm_max_events, sizeof(PmEventPlace)));
	return add_size(size, mul_size(pm_max_events, sizeof(int)));
}

static void
init_list(PmEventList *list)
{
	list->oldest = list->newest = -1;
	list->count = 0;
}

static void
attach_events(void *memory)
{
	pm_event_ring = memory;
}

static void
init_events(void)
{
	PmEvents   *events = pm_event_ring;

	LWLockInitialize(&events->lock, pm_tranche());
	pg_atomic_init_u32(&events->save_wanted, 0);
	pg_atomic_init_u64(&events->last_seq, 0);
	pg_atomic_init_u64(&events->notified_seq, 0);
	init_list(&events->all);
	for (int i = 0; i < PM_EVENT_SHARES; i++)
		init_list(&events->shares[i]);
	events->recent = (int *) &events->ring[pm_max_events];
	for (int i = 0; i < pm_max_events; i++)
		events->recent[i] = -1;
}

static Size
explain_events(StringInfo text)
{
	appendStringInfo(text, "Events (\"pool_monitor.max_events\" %d): %zu MB. ", pm_max_events, events_size() >> 20);
	return events_size();
}

const PmSection pm_events_section = {
	.name = "events",
	.size = events_size,
	.attach = attach_events,
	.init = init_events,
	.explain = explain_events,
};

const PmEventInfo pm_event_kinds[PM_NUM_EVENTS] = {
#define PM_EVENT(id, name, repeats, of_session, of_status) {name, repeats, of_session, of_status},
#include "events/kinds.h"
#undef PM_EVENT
};

/* False: it is of the server as a whole. */
bool
pm_event_has_owner(const PmEvent *event)
{
	return event->owner.discovered || event->owner.name[0] != '\0';
}

/* ---- the ring; callers hold the lock ---- */

static PmEventPlace *
place_at(int place)
{
	return &pm_event_ring->ring[place];
}

static PmEventList *
share_of(const PmEvent *event)
{
	int			share;

	if (!pm_event_has_owner(event))
		share = SERVER_SHARE;
	else if (event->owner.discovered)
		share = DISCOVERED_SHARE;
	else
		share = FIRST_POOL_SHARE + pm_owner_hash(&event->owner) % (PM_EVENT_SHARES - FIRST_POOL_SHARE);
	return &pm_event_ring->shares[share];
}

/* The link of a place in a list. */
static PmEventLink *
link_in(const PmEventList *list, int place)
{
	return list == &pm_event_ring->all ? &place_at(place)->all : &place_at(place)->own;
}

static void
unlink_from(PmEventList *list, int place)
{
	const PmEventLink *link = link_in(list, place);

	if (link->older >= 0)
		link_in(list, link->older)->newer = link->newer;
	else
		list->oldest = link->newer;
	if (link->newer >= 0)
		link_in(list, link->newer)->older = link->older;
	else
		list->newest = link->older;
	list->count--;
}

/* By its number: at the newer end but for what is read from the file. */
static void
link_into(PmEventList *list, int place)
{
	PmEventLink *link = link_in(list, place);

	link->newer = -1;
	link->older = list->newest;
	while (link->older >= 0 && place_at(link->older)->event.seq > place_at(place)->event.seq)
	{
		link->newer = link->older;
		link->older = link_in(list, link->older)->older;
	}
	if (link->older >= 0)
		link_in(list, link->older)->newer = place;
	else
		list->oldest = place;
	if (link->newer >= 0)
		link_in(list, link->newer)->older = place;
	else
		list->newest = place;
	list->count++;
}

/* The share that has the most; of equal ones that with the oldest event. */
static PmEventList *
largest_share(void)
{
	PmEventList *largest = &pm_event_ring->shares[0];

	for (int i = 1; i < PM_EVENT_SHARES; i++)
	{
		PmEventList *share = &pm_event_ring->shares[i];

		if (share->count > largest->count ||
			(share->count > 0 && share->count == largest->count &&
			 place_at(share->oldest)->event.seq < place_at(largest->oldest)->event.seq))
			largest = share;
	}
	return largest;
}

static int
free_place(void)
{
	PmEvents   *events = pm_event_ring;
	PmEventList *largest;
	int			place;

	if (events->used < pm_max_events)
		return events->used++;
	largest = largest_share();
	place = largest->oldest;
	unlink_from(largest, place);
	unlink_from(&events->all, place);
	return place;
}

static void
insert(const PmEvent *event)
{
	PmEvents   *events = pm_event_ring;
	int			place = free_place();
	int		   *recent = &events->recent[event->seq % pm_max_events];

	place_at(place)->event = *event;
	link_into(&events->all, place);
	link_into(share_of(event), place);
	if (*recent < 0 || place_at(*recent)->event.seq <= event->seq)
		*recent = place;
}

/* Gives it the next number. */
static void
append(PmEvent *event)
{
	event->seq = pg_atomic_read_u64(&pm_event_ring->last_seq) + 1;
	insert(event);
	pg_atomic_write_u64(&pm_event_ring->last_seq, event->seq);
}

static bool
next(PmEventCursor *cursor, PmEvent *event)
{
	const PmEvents *events = pm_event_ring;
	int			place = events->all.oldest;

	if (cursor->seq != 0 && place_at(cursor->place)->event.seq == cursor->seq)
		place = place_at(cursor->place)->all.newer;
	while (place >= 0 && place_at(place)->event.seq <= cursor->seq)
		place = place_at(place)->all.newer;
	if (place < 0)
		return false;
	*event = place_at(place)->event;
	cursor->seq = event->seq;
	cursor->place = place;
	return true;
}

/* ---- stretches; callers hold the lock ---- */

static uint64
owner_of(const PmEvent *event)
{
	uint64		hash = pm_owner_hash(&event->owner);

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
	append(&stretch->last);
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
	append(event);
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

/* Caller holds the lock. Looks from the newest on. */
static bool
is_there(uint64 seq)
{
	int			place = pm_event_ring->all.newest;

	while (place >= 0 && place_at(place)->event.seq > seq)
		place = place_at(place)->all.older;
	return place >= 0 && place_at(place)->event.seq == seq;
}

/*
 * Puts an event of an earlier run into its place, unless it is there: a worker that
 * failed may have begun to. Takes the lock.
 */
void
pm_event_restore(const PmEvent *event)
{
	LWLockAcquire(&pm_event_ring->lock, LW_EXCLUSIVE);
	if (!is_there(event->seq))
		insert(event);
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
	found = next(cursor, event);
	LWLockRelease(&pm_event_ring->lock);
	return found;
}

bool
pm_event_next_unlocked(PmEventCursor *cursor, PmEvent *event)
{
	return next(cursor, event);
}

/*
 * One of the last max_events numbers; false when the ring does not have it (any
 * more). Takes the lock.
 */
bool
pm_event_read(uint64 seq, PmEvent *event)
{
	int			place;
	bool		found;

	LWLockAcquire(&pm_event_ring->lock, LW_SHARED);
	place = pm_event_ring->recent[seq % pm_max_events];
	found = place >= 0 && place_at(place)->event.seq == seq;
	if (found)
		*event = place_at(place)->event;
	LWLockRelease(&pm_event_ring->lock);
	return found;
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
