/*
 * listen.h
 *		Is this backend LISTENing?
 */
#ifndef PM_LISTEN_H
#define PM_LISTEN_H

#include <signal.h>

/* Read by the SIGUSR2 handler. Errs on the side of true. */
extern volatile sig_atomic_t pm_listening;

extern void pm_listen_install(void);

#endif							/* PM_LISTEN_H */
