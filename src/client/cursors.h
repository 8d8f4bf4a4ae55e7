/*
 * cursors.h
 *		Does this session have an open WITH HOLD cursor?
 */
#ifndef PM_CURSORS_H
#define PM_CURSORS_H

#include <signal.h>

/* Read by the SIGUSR2 handler. Errs on the side of true. */
extern volatile sig_atomic_t pm_holding_cursor;

extern void pm_cursors_install(void);

#endif							/* PM_CURSORS_H */
