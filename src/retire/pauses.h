/*
 * pauses.h
 *		When scheduled retirement holds its breath. In the worker, but for
 *		pm_paused() and pm_some_paused().
 */
#ifndef PM_PAUSES_H
#define PM_PAUSES_H

#include "pools/declared.h"
#include "sessions/session.h"

extern void pm_pauses_note_next(int account, const PmSession *session);
extern void pm_pauses_note_retired(int account, const PmSession *session, int64 gap);
extern void pm_pauses_tick(const PmRules *rules, bool matters);
extern bool pm_paused(int account, Oid role);
extern bool pm_some_paused(int account);

#endif							/* PM_PAUSES_H */
