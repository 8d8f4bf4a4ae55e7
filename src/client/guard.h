/*
 * guard.h
 *		Does this login fit its pool's limit? See guard.c.
 */
#ifndef PM_GUARD_H
#define PM_GUARD_H

/* Authenticated, its slot claimed, and its exit callback there. FATAL where it is refused. */
extern void pm_guard_login(void);

/* The seat of this login, which goes on to the session, or is given back. */
extern int	pm_guard_seat(void);
extern void pm_guard_begun(void);
extern void pm_guard_gone(void);

#endif							/* PM_GUARD_H */
