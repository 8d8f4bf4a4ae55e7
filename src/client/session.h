/*
 * session.h
 *		A client backend's slot and account: claim, begin, end, release.
 */
#ifndef PM_SESSION_H
#define PM_SESSION_H

#include "base/identity.h"
#include "client/reports.h"

extern void pm_session_install(void);

/*
 * Of this process's session: its account, and whose that is; -1: it is not counted, and nothing can
 * be counted for it. Nor is what was found for an account in which it is no more: whoever settles it
 * may move it at any time. Both take the lock of its sheet.
 */
extern int	pm_session_account(PmOwner *owner);
extern void pm_session_count(int account, const PmPoolSums *news);

#endif							/* PM_SESSION_H */
