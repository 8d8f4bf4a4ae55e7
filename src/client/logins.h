/*
 * logins.h
 *		How far a login has come, and the ones that come to nothing.
 */
#ifndef PM_LOGINS_H
#define PM_LOGINS_H

#include "accounts/counters.h"
#include "base/identity.h"
#include "libpq/libpq-be.h"

typedef enum PmLoginStage
{
	PM_LOGIN_NEW,
	PM_LOGIN_AUTHENTICATED,
	PM_LOGIN_BEGUN				/* the session has begun */
} PmLoginStage;

/* Of this process; set by session.c. */
extern PmLoginStage pm_login_stage;

/* Of this process: the error that ends it is not for the server log. */
extern bool pm_login_unlogged;

extern void pm_logins_install(void);
extern void pm_login_identity(PmIdentity *who, char names[3][NAMEDATALEN]);
extern void pm_login_count(PmCounter how);
extern void pm_login_failed(PmCounter how);
extern void pm_login_ended(void);
extern bool pm_connection_was_lost(void);
extern bool pm_session_timed_out(void);

#endif							/* PM_LOGINS_H */
