/*
 * counters.h
 *		What is known of each counter. Pure.
 */
#ifndef PM_COUNTERS_H
#define PM_COUNTERS_H

typedef enum PmCounter
{
#define PM_COUNTER(id, name, end, kept, unit) PM_##id,
#include "accounts/counterlist.h"
#undef PM_COUNTER
	PM_NUM_COUNTERS
} PmCounter;

/* What the history keeps of the counters, for each bucket. */
typedef enum PmKept
{
#define PM_KEPT(id, name) PM_KEPT_##id,
#include "accounts/keptlist.h"
#undef PM_KEPT
	PM_NUM_KEPT,
	PM_KEPT_NOTHING
} PmKept;

/* What a counter counts: how many of them are one, or a second. */
typedef enum PmUnit
{
	PM_ONE = 1,
	PM_MS = 1000,
	PM_US = 1000000
} PmUnit;

typedef struct PmCounterInfo
{
	const char *name;
	const char *end;			/* how a session has ended; NULL: it is no end */
	PmKept		kept;
	PmUnit		unit;
} PmCounterInfo;

extern const PmCounterInfo pm_counters[PM_NUM_COUNTERS];

extern uint64 pm_ended(const uint64 *counters);
extern int64 pm_still_there(const uint64 *counters);
extern void pm_kept_all(const uint64 *counters, uint64 *kept);
extern bool pm_is_reported_time(PmKept which);
extern bool pm_is_reported(PmKept which);
extern uint64 pm_kept(const uint64 *counters, PmKept which);

#endif							/* PM_COUNTERS_H */
