/*
 * session.h
 *		A client backend's slot: claim, release, and the question whether the
 *		session may be retired.
 */
#ifndef PM_SESSION_H
#define PM_SESSION_H

#include "base/shmem.h"
#include "sessions/scan.h"

extern void pm_session_install(void);
extern bool pm_slot_is(const PmSession *session);
extern bool pm_slot_names(const PmSession *session, char *datname, char *usename);
extern Oid	pm_slot_role(const PmSession *session);
extern bool pm_slot_stamps(const PmSession *session, int64 *begun_at, int64 *used_at);
extern uint64 pm_slot_identity(const PmSession *session);

#endif							/* PM_SESSION_H */
