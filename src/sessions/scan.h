/*
 * scan.h
 *		The server's client sessions, read from the backend status array.
 */
#ifndef PM_SCAN_H
#define PM_SCAN_H

#include "base/identity.h"
#include "datatype/timestamp.h"
#include "libpq/pqcomm.h"

typedef enum PmSessionState
{
	PM_STATE_UNKNOWN,			/* track_activities is off, or not yet set */
	PM_STATE_IDLE,
	PM_STATE_ACTIVE,
	PM_STATE_IDLE_IN_TRANSACTION,
	PM_STATE_IDLE_IN_TRANSACTION_ABORTED
} PmSessionState;

/* One client session, as consistent as one entry of the array is. */
typedef struct PmSession
{
	int			index;			/* in the status array, and of our slot */
	int			pid;
	PmSessionState state;
	Oid			datid;
	Oid			userid;
	TimestampTz backend_start;
	TimestampTz xact_start;		/* 0: none */
	TimestampTz state_change;	/* 0: unknown */
	PmAddr		client_addr;
	uint64		name_hash;		/* of application_name */
	char		application_name[NAMEDATALEN];
} PmSession;

/* A running scan; on the stack of the caller. */
typedef struct PmScan
{
	int			next;
} PmScan;

extern void pm_copy_address(PmAddr *to, const volatile SockAddr *from);
extern void pm_scan_begin(PmScan *scan);
extern bool pm_scan_next(PmScan *scan, PmSession *session);

#endif							/* PM_SCAN_H */
