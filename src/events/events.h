/*
 * events.h
 *		Recording what happened, and reading it.
 */
#ifndef PM_EVENTS_H
#define PM_EVENTS_H

#include "events/ring.h"

/*
 * Records an event. The detail is printed from the format, and must come out
 * as a JSON object in ASCII. False when it is held back, to be told together
 * with others. Takes the lock; raises nothing.
 */
extern bool pm_event(PmEventKind kind, const char *pool, int pid,
					 const char *format,...) pg_attribute_printf(4, 5);

extern bool pm_event_of(PmEventKind kind, const PmOwner *owner, int pid, const char *format,...) pg_attribute_printf(4, 5);

extern char *pm_json_escape(char *to, const char *from);
extern uint64 pm_event_oldest(void);
extern bool pm_event_next(PmEventCursor *cursor, PmEvent *event);
extern bool pm_event_read(uint64 seq, PmEvent *event);
extern void pm_event_restore(const PmEvent *event);
extern void pm_events_release_due(void);

/* For the last process of all, which needs no lock. */
extern bool pm_event_next_unlocked(PmEventCursor *cursor, PmEvent *event);
extern void pm_events_release_all(void);

#endif							/* PM_EVENTS_H */
