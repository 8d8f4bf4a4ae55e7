/*
 * atwork.h
 *		What the busy sessions do, at one tick.
 */
#ifndef PM_ATWORK_H
#define PM_ATWORK_H

#include "history/history.h"
#include "sessions/session.h"

/* Allocates in the current memory context. */
extern void pm_at_work_begin(PmAtWork *work);

/* The session is in this account; -1: in none. */
extern void pm_at_work_note(PmAtWork *work, int account, const PmSession *session);

#endif							/* PM_ATWORK_H */
