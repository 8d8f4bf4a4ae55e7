/*
 * pauses.h
 *		When scheduled retirement holds its breath. In the worker, but for what
 *		returns a bool.
 */
#ifndef PM_PAUSES_H
#define PM_PAUSES_H

#include "pools/declared.h"
#include "sessions/session.h"

extern void pm_pauses_note_next(int account, const PmSession *session);
extern void pm_pauses_note_retired(int account, const PmSession *session, int64 gap);
extern void pm_pauses_tick(const PmRules *rules, bool matters);
extern bool pm_paused(int account, Oid role);
extern bool pm_paused_for_clients(int account, Oid role);
extern bool pm_retires(const PmPool *pool);
extern bool pm_retirement_pauses(int account, const PmPool *pool);

#endif							/* PM_PAUSES_H */
