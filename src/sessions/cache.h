/*
 * cache.h
 *		What this process has read of the sessions, kept for its next look.
 */
#ifndef PM_CACHE_H
#define PM_CACHE_H

#include "sessions/classes.h"
#include "sessions/session.h"

extern uint64 pm_cache_begin(const PmRules *rules, int64 at);
extern PmSession *pm_cache_sessions(int index, int *room);
extern PmClass *pm_cache_class(PmClassKey *key, const PmSession *session);

#endif							/* PM_CACHE_H */
