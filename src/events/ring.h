/*
 * ring.h
 *		The ring in shared memory that has the events, and who goes when it is full.
 */
#ifndef PM_RING_H
#define PM_RING_H

#include "base/identity.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

typedef enum PmEventKind
{
#define PM_EVENT(id, name, repeats, of_session, of_status, sessionless) PM_EVENT_##id,
#include "events/kinds.h"
#undef PM_EVENT
	PM_NUM_EVENTS
} PmEventKind;

/*
 * So many are told singly, of what comes at a time and of what comes in a
 * stretch; what is more is told in one event.
 */
#define PM_SINGLE_EVENTS	20
#define PM_EVENT_STRETCH	60000	/* ms */

#define PM_DETAIL_LEN	512		/* a JSON object with its terminating zero */

typedef struct PmEvent
{
	uint64		seq;			/* 1 is the first of all; 0: none yet */
	TimestampTz at;
	PmEventKind kind;
	int			pid;			/* 0: none */
	uint32		times;			/* so often, and this was the last time */
	PmOwner		owner;			/* its name empty, and not discovered: none */
	char		detail[PM_DETAIL_LEN];	/* printable ASCII, without \u and
										 * exponents: jsonb everywhere */
	bool		held_back;		/* for the log, which has no line of it yet */
} PmEvent;

/* Neighbours in a list, as places in the ring; -1: none. */
typedef struct PmEventLink
{
	int			older;
	int			newer;
} PmEventLink;

typedef struct PmEventList
{
	int			oldest;
	int			newest;
	int			count;
} PmEventList;

typedef struct PmEventPlace
{
	PmEvent		event;
	PmEventLink all;			/* in the list of all */
	PmEventLink own;			/* in that of its share */
} PmEventPlace;

/*
 * Of a kind of a pool's events: those that have the same hash have one share together,
 * which is why there are so many. The server has one for each kind, and all discovered
 * applications together, whose names anybody can invent.
 */
#define PM_EVENT_SHARES 4096

/*
 * One kind of event of one pool that has come lately. After PM_SINGLE_EVENTS of
 * them in PM_EVENT_STRETCH it holds them back: last is the last one, last.times
 * says how many, and they are recorded as one when the stretch ends, or when an
 * event of another kind of the pool is told singly. The next stretch holds back all,
 * until one goes by that has none.
 */
typedef struct PmStretch
{
	uint64		owner;			/* hash of the last one's; 0: free */
	int64		begin;			/* ms, monotonic */
	uint32		count;			/* recorded singly */
	PmEvent		last;			/* its times 0: none is held back */
	uint64		hold;			/* number of the hold that put it there */
} PmStretch;

#define PM_EVENT_STRETCHES	128

/*
 * Everything but the atomics is protected by the lock, which is held for a few copies
 * of an event, and a look at each share and stretch. An event is at any place: see
 * events.c.
 */
typedef struct PmEvents
{
	LWLock		lock;
	pg_atomic_uint32 save_wanted;	/* the statistics, soon */
	pg_atomic_uint64 last_seq;	/* of the newest event; moved under the lock */
	pg_atomic_uint64 notified_seq;	/* the newest that NOTIFY has told of */
	int			used;			/* places; the first ones */
	int			sessionless;	/* events of these kinds */
	PmEventList all;			/* by number */
	PmEventList shares[PM_EVENT_SHARES];	/* by number, each */
	PmStretch	stretches[PM_EVENT_STRETCHES];
	uint64		holds;			/* events that were held back */
	int		   *recent;			/* max_events: the place of the event n, if
								 * there is one, at n % max_events */
	PmEventPlace ring[FLEXIBLE_ARRAY_MEMBER];
} PmEvents;

/* Where a reader is. Begins as zeros. */
typedef struct PmEventCursor
{
	uint64		seq;			/* of the last one read */
	int			place;
} PmEventCursor;

extern PmEvents *pm_event_ring;
extern const PmSection pm_events_section;

/* What is known of each kind: kinds.h. */
typedef struct PmEventInfo
{
	const char *name;
	bool		repeats;
	bool		of_session;
	bool		of_status;
	bool		sessionless;
} PmEventInfo;

extern const PmEventInfo pm_event_kinds[PM_NUM_EVENTS];

/* False: it is of the server as a whole. */
extern bool pm_event_has_owner(const PmEvent *event);

/* For this folder alone; callers hold the lock, but for the last process of all. */
extern void pm_ring_append(PmEvent *event);
extern void pm_ring_insert(const PmEvent *event);
extern bool pm_ring_has(uint64 seq);
extern bool pm_ring_next(PmEventCursor *cursor, PmEvent *event);
extern bool pm_ring_recent(uint64 seq, PmEvent *event);

#endif							/* PM_RING_H */
