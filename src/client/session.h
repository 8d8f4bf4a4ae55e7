/*
 * session.h
 *		A client backend's slot and account: claim, begin, end, release.
 */
#ifndef PM_SESSION_H
#define PM_SESSION_H

extern void pm_session_install(void);

#endif							/* PM_SESSION_H */
