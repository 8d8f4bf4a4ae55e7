/*
 * outcomes.h
 *		What came of the questions of the scheduled clean-up, on record.
 */
#ifndef PM_OUTCOMES_H
#define PM_OUTCOMES_H

#include "retire/ask.h"

extern void pm_outcomes_start(void);
extern void pm_outcomes_tick(int64 now);
extern void pm_outcomes_note(const PmAsk *ask);
extern bool pm_asked_lately(const PmSession *session, int64 now);
extern bool pm_has_declined(const PmSession *session);

#endif							/* PM_OUTCOMES_H */
