/*
 * events.h
 *		What happened, in a ring in shared memory.
 */
#ifndef PM_EVENTS_H
#define PM_EVENTS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "rules.h"

/* Names: pm_event_name(). */
typedef enum PmEventKind
{
	PM_EVENT_STARTED,
	PM_EVENT_STATISTICS_LOST,
	PM_EVENT_STATISTICS_RESET,
	PM_EVENT_DECLARATIONS_LOADED,
	PM_EVENT_APPLICATIONS_FULL,
	PM_EVENT_CLOCK_SET_BACK,
	PM_EVENT_OVER_BUDGET,
	PM_EVENT_BACK_IN_BUDGET,
	PM_EVENT_EXHAUSTED,
	PM_EVENT_NO_LONGER_EXHAUSTED,
	PM_EVENT_STORM,
	PM_EVENT_STORM_OVER,
	PM_EVENT_REFUSED,
	PM_EVENT_REFUSED_OVER,
	PM_EVENT_LEAK_SUSPECT,
	PM_EVENT_RETIREMENT_PAUSED,
	PM_EVENT_RETIREMENT_RESUMED,
	PM_EVENT_RETIRED,
	PM_EVENT_DECLINED,
	PM_EVENT_CLOCK_STEP,
	PM_NUM_EVENTS
} PmEventKind;

/* A session at a time up to here; what is more is told in one event. */
#define PM_SINGLE_EVENTS	20

#define PM_DETAIL_LEN	384		/* a JSON object with its terminating zero */

typedef struct PmEvent
{
	uint64		seq;			/* 1 is the first of all; 0: none yet */
	TimestampTz at;
	PmEventKind kind;
	int			pid;			/* 0: none */
	char		pool[PM_NAME_LEN];	/* or discovered application; empty: none */
	bool		discovered;
	char		detail[PM_DETAIL_LEN];	/* ASCII */
} PmEvent;

/*
 * The ring; everything but the sequence numbers is protected by events_lock.
 * An event with number n is at n % max_events. Numbers skip only whole rings, so
 * that the places stay in order.
 */
typedef struct PmEvents
{
	pg_atomic_uint64 last_seq;	/* of the newest event; moved under the lock */
	pg_atomic_uint64 notified_seq;	/* the newest that NOTIFY has told of */
	PmEvent		ring[FLEXIBLE_ARRAY_MEMBER];
} PmEvents;

extern Size pm_events_size(void);
extern void pm_events_init(PmEvents *events);
extern const char *pm_event_name(PmEventKind kind);

/*
 * Records an event. The detail is printed from the format, and must come out
 * as a JSON object in ASCII. Takes events_lock; raises nothing.
 */
extern void pm_event(PmEventKind kind, const char *pool, bool discovered, int pid,
					 const char *format,...) pg_attribute_printf(5, 6);

extern char *pm_json_escape(char *to, const char *from);
extern uint64 pm_event_oldest(void);
extern bool pm_event_at(uint64 seq, PmEvent *event);
extern bool pm_event_read(uint64 seq, PmEvent *event);

#endif							/* PM_EVENTS_H */
