/*
 * common.h
 *		What several live views show, and of whom.
 */
#ifndef PM_COMMON_H
#define PM_COMMON_H

#include "base/identity.h"
#include "base/result.h"
#include "sessions/tally.h"

extern void pm_put_counts(PmRow *row, const PmCounts *counts);
extern void pm_put_longest(PmRow *row, const PmCounts *counts);
extern void pm_put_findings(PmRow *row, const PmCounts *counts);
extern void pm_put_application(PmRow *row, const PmOwner *owner);
extern int	pm_visible_pool(const PmTally *tally, const PmClass *class, bool visible);
extern void pm_nap(const char *wait_event, long ms);

#endif							/* PM_COMMON_H */
