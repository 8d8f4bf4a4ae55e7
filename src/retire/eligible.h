/*
 * eligible.h
 *		Who is to be retired.
 */
#ifndef PM_ELIGIBLE_H
#define PM_ELIGIBLE_H

#include "base/reason.h"
#include "pools/declared.h"
#include "sessions/session.h"
#include "sessions/tally.h"

extern PmReason pm_wait_reason(const PmRules *rules, const PmClass *class, const PmSession *session, const PmFlags *flags);
extern PmReason pm_keep_reason(const PmTally *tally, PmClass *class, const PmSession *session,
							   const PmFlags *flags, bool scheduled);
extern bool pm_gives_way(const PmTally *tally, PmClass *class, const PmSession *session, const PmFlags *flags);

#endif							/* PM_ELIGIBLE_H */
