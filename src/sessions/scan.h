/*
 * scan.h
 *		The server's client sessions, read from the backend status array.
 */
#ifndef PM_SCAN_H
#define PM_SCAN_H

#include "base/identity.h"
#include "libpq/pqcomm.h"
#include "miscadmin.h"
#include "sessions/session.h"
#include "utils/backend_status.h"

/* Entries between the one that is read and the one that is sent for. */
#define PM_SCAN_AHEAD 24

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
extern void pm_scan_more(PmScan *scan, int index);
extern bool pm_scan_is_there(const PmScan *scan, const PmSession *session);
extern void pm_scan_read(const volatile PgBackendStatus *entry, PmSession *session);

/*
 * The next client session, NULL after the last; valid until the one after it is
 * asked for. Of an entry that is free one cache line is touched, and of one that has
 * not changed since this process saw it last, that and one of our own. Entries are too
 * far apart for the processor to guess the next: behind one in use, one ahead is sent
 * for, which past the array's end does nothing. Among free ones that would cost more
 * than it saves. The caller may hold no lock that a status writer could need; there is
 * none, but CHECK_FOR_INTERRUPTS runs in here.
 */
static inline const PmSession *
pm_scan_next(PmScan *scan)
{
	while (scan->next < MaxBackends)
	{
		int			index = scan->next++;
		const volatile PgBackendStatus *entry = &scan->first[index];
		PmSession  *session;

		if (entry->st_procpid <= 0)
			continue;
		__builtin_prefetch((const void *) (entry + PM_SCAN_AHEAD));
		if (unlikely(index >= scan->room))
			pm_scan_more(scan, index);
		session = &scan->sessions[index];
		if (session->change_count != entry->st_changecount)
			pm_scan_read(entry, session);
		if (likely(session->pid != 0))
			return session;
	}
	return NULL;
}

#endif							/* PM_SCAN_H */
