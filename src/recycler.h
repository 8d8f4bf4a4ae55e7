/*
 * recycler.h
 *		Who is to be retired, and the scheduled clean-up.
 */
#ifndef PM_RECYCLER_H
#define PM_RECYCLER_H

#include "ask.h"
#include "tally.h"

extern PmReason pm_keep_reason(const PmTally *tally, PmClass *class, const PmSession *session,
							   const PmFlags *flags, bool scheduled);

/* worker */
extern void pm_recycler_start(void);
extern bool pm_recycler_collect(void);

#endif							/* PM_RECYCLER_H */
