/*
 * rings.h
 *		Writing in the rings, for the worker.
 */
#ifndef PM_RINGS_H
#define PM_RINGS_H

#include "history/history.h"

extern int	pm_history_series(const char *name);
extern void pm_history_map(const struct PmRules *rules);
extern int	pm_history_open(PmRing *ring, TimestampTz now);

#endif							/* PM_RINGS_H */
