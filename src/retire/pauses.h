/*
 * pauses.h
 *		When scheduled retirement holds its breath. In the worker, but for
 *		pm_paused(), pm_retires() and pm_retirement_pauses().
 */
#ifndef PM_PAUSES_H
#define PM_PAUSES_H

#include "pools/declared.h"
#include "sessions/session.h"

extern void pm_pauses_note_next(int account, const PmSession *session);
extern void pm_pauses_note_retired(int account, const PmSession *session, int64 gap);
extern void pm_pauses_tick(const PmRules *rules, bool matters);
extern bool pm_paused(int account, Oid role);
extern bool pm_retires(const PmPool *pool);
extern bool pm_retirement_pauses(int account, const PmPool *pool);

#endif							/* PM_PAUSES_H */
