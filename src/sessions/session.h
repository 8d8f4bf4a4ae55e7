/*
 * session.h
 *		What is known of one client session.
 */
#ifndef PM_SESSION_INFO_H
#define PM_SESSION_INFO_H

#include "datatype/timestamp.h"

typedef enum PmSessionState
{
	PM_STATE_UNKNOWN,			/* track_activities is off, or not yet set */
	PM_STATE_IDLE,
	PM_STATE_ACTIVE,
	PM_STATE_IDLE_IN_TRANSACTION,
	PM_STATE_IDLE_IN_TRANSACTION_ABORTED
} PmSessionState;

#define PM_NUM_STATES (PM_STATE_IDLE_IN_TRANSACTION_ABORTED + 1)

struct PmClass;

/*
 * As consistent as one entry of the status array is. One cache line, which is all
 * that a scan touches of a session that has not changed; names and address are in
 * the class. It is this process's own, kept from scan to scan (cache.c): who wants
 * it after the next session was asked for, copies it, and leaves the class alone once
 * another tally has begun.
 */
typedef struct PmSession
{
	int64		change_count;	/* the entry's when it was read; cache.c */
	int			index;			/* in the status array, and of our slot */
	int			pid;			/* 0: the entry is no client session's */
	Oid			userid;
	PmSessionState state;
	TimestampTz backend_start;
	TimestampTz xact_start;		/* 0: none */
	TimestampTz state_change;	/* 0: unknown */
	TimestampTz calm_until;		/* by the wall clock no flag is up till then */
	struct PmClass *class;
} PmSession;

/*
 * Since when the session has been in its transaction, 0 when it is in none. The
 * server forgets when a failed one began: that one is counted from its failure.
 */
static inline TimestampTz
pm_xact_since(const PmSession *session)
{
	if (session->state == PM_STATE_IDLE_IN_TRANSACTION_ABORTED)
		return session->state_change;
	return session->xact_start;
}

#endif							/* PM_SESSION_INFO_H */
