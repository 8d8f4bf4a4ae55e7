/*
 * ring.c
 *		The ring in shared memory that has the events, and who goes when it is full.
 *
 * Nobody can wash the others' events out, nor one kind the other kinds. One session that
 * changes its application_name in and out of a pool could fill the ring with that pool's
 * events; and logins that fail, for which nobody needs a password, with theirs. So each
 * pool has a share for each kind of event: when the ring is full, the oldest event of the
 * share that has the most goes, not the oldest of all. A share loses events to another
 * only down to what is left when all that have some have the same number; and where only
 * one is busy it has all the room that the others leave. (Against it, too: stretches, see
 * events.c.) All undeclared applications have one share of each kind together. Two that
 * have the same hash have one share.
 *
 * But who can fill many shares leaves each of the others little, and failed logins fill
 * some of every pool's, by whoever can reach the port. So the kinds of events that need
 * no session (kinds.h) get a third of the ring at most, all pools' together: what has to
 * go is one of them whenever they are, or would be, above it, whatever it is that comes;
 * of these, too, the oldest of the share that has the most. Below it they compete as all
 * do, and what nobody else needs is theirs.
 *
 * The work under the lock is bounded: PM_EVENT_SHARES counters. (But a reader whose place
 * has gone looks for it from the oldest on.)
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "events/ring.h"

/*
 * Of each of the two parts of the shares: those of the server, by kind, those of
 * undeclared applications, and then by hash.
 */
/* The first shares are those of the kinds that need no session: none has both. */
#define SESSIONLESS_SHARES	1024

#define DISCOVERED_SHARES	PM_NUM_EVENTS
#define POOL_SHARES			(2 * PM_NUM_EVENTS)

StaticAssertDecl(POOL_SHARES < SESSIONLESS_SHARES &&
				 POOL_SHARES < PM_EVENT_SHARES - SESSIONLESS_SHARES, "no share is left for pools");

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
#define PM_EVENT(id, name, repeats, of_session, of_status, sessionless) \
	{name, repeats, of_session, of_status, sessionless},
#include "events/kinds.h"
#undef PM_EVENT
};

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

static bool
is_sessionless(const PmEvent *event)
{
	return pm_event_kinds[event->kind].sessionless;
}

static PmEventList *
share_of(const PmEvent *event)
{
	int			first = is_sessionless(event) ? 0 : SESSIONLESS_SHARES;
	int			n = is_sessionless(event) ? SESSIONLESS_SHARES : PM_EVENT_SHARES - SESSIONLESS_SHARES;
	int			share = event->kind;

	if (event->owner.discovered)
		share += DISCOVERED_SHARES;
	else if (pm_event_has_owner(event))
		share = POOL_SHARES + pm_owner_hash(&event->owner, event->kind) % (n - POOL_SHARES);
	return &pm_event_ring->shares[first + share];
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

/* Of the first n shares that which has the most; of equal ones that with the oldest event. */
static PmEventList *
largest_share(int n)
{
	PmEventList *largest = &pm_event_ring->shares[0];

	for (int i = 1; i < n; i++)
	{
		PmEventList *share = &pm_event_ring->shares[i];

		if (share->count > largest->count ||
			(share->count > 0 && share->count == largest->count &&
			 place_at(share->oldest)->event.seq < place_at(largest->oldest)->event.seq))
			largest = share;
	}
	return largest;
}

/* One of those that need no session, if they have more than their part with this one. */
static int
free_place(const PmEvent *for_event)
{
	PmEvents   *events = pm_event_ring;
	int			sessionless = events->sessionless + (is_sessionless(for_event) ? 1 : 0);
	PmEventList *largest;
	int			place;

	if (events->used < pm_max_events)
		return events->used++;
	largest = largest_share(sessionless > pm_max_events / 3 ? SESSIONLESS_SHARES : PM_EVENT_SHARES);
	place = largest->oldest;
	if (is_sessionless(&place_at(place)->event))
		events->sessionless--;
	unlink_from(largest, place);
	unlink_from(&events->all, place);
	return place;
}

void
pm_ring_insert(const PmEvent *event)
{
	PmEvents   *events = pm_event_ring;
	int			place = free_place(event);
	int		   *recent = &events->recent[event->seq % pm_max_events];

	place_at(place)->event = *event;
	link_into(&events->all, place);
	link_into(share_of(event), place);
	if (is_sessionless(event))
		events->sessionless++;
	if (*recent < 0 || place_at(*recent)->event.seq <= event->seq)
		*recent = place;
}

/* Gives it the next number. */
void
pm_ring_append(PmEvent *event)
{
	event->seq = pg_atomic_read_u64(&pm_event_ring->last_seq) + 1;
	pm_ring_insert(event);
	pg_atomic_write_u64(&pm_event_ring->last_seq, event->seq);
}

/* The next newer one; false after the newest. */
bool
pm_ring_next(PmEventCursor *cursor, PmEvent *event)
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

/* Looks from the newest on. */
bool
pm_ring_has(uint64 seq)
{
	int			place = pm_event_ring->all.newest;

	while (place >= 0 && place_at(place)->event.seq > seq)
		place = place_at(place)->all.older;
	return place >= 0 && place_at(place)->event.seq == seq;
}

/* One of the last max_events numbers; false when it has gone. */
bool
pm_ring_recent(uint64 seq, PmEvent *event)
{
	int			place = pm_event_ring->recent[seq % pm_max_events];

	if (place < 0 || place_at(place)->event.seq != seq)
		return false;
	*event = place_at(place)->event;
	return true;
}
