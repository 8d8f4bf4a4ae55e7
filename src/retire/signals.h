/*
 * signals.h
 *		Would a process survive SIGUSR2?
 */
#ifndef PM_SIGNALS_H
#define PM_SIGNALS_H

extern bool pm_catches_sigusr2(int pid);

#endif							/* PM_SIGNALS_H */
