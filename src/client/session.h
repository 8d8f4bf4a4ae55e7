/*
 * session.h
 *		A client backend's slot and account: claim, begin, end, release.
 */
#ifndef PM_SESSION_H
#define PM_SESSION_H

#include "base/identity.h"
#include "client/reports.h"

extern void pm_session_install(void);

/* Of this process. False: it has no session that is counted; then not the others. */
extern bool pm_session_owner(PmOwner *owner);
extern int	pm_session_alike(void);
extern void pm_session_count(const PmPoolSums *news);

#endif							/* PM_SESSION_H */
