/*
 * scan.h
 *		The server's client sessions, read from the backend status array.
 */
#ifndef PM_SCAN_H
#define PM_SCAN_H

#include "base/identity.h"
#include "libpq/pqcomm.h"
#include "sessions/session.h"
#include "utils/backend_status.h"

/* A running scan; on the stack of the caller. */
typedef struct PmScan
{
	const volatile PgBackendStatus *first;	/* of the array */
	PmSession  *sessions;		/* the cache, of so many of its entries */
	int			room;
	int			next;
} PmScan;

extern void pm_copy_address(PmAddr *to, const volatile SockAddr *from);
extern void pm_scan_begin(PmScan *scan);
extern const PmSession *pm_scan_next(PmScan *scan);

#endif							/* PM_SCAN_H */
