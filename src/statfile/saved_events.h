/*
 * saved_events.h
 *		The events in the file of statistics.
 */
#ifndef PM_SAVED_EVENTS_H
#define PM_SAVED_EVENTS_H

#include "statfile/statrows.h"

extern const PmLayout pm_event_layout;

extern void pm_put_events(PmWriter *writer);
extern bool pm_read_events(const PmRows *rows, bool dry);

/* The numbers of new events go on after this one. */
extern void pm_continue_events(uint64 seq);

#endif							/* PM_SAVED_EVENTS_H */
