/*
 * saved_accounts.h
 *		Accounts in the file of statistics.
 */
#ifndef PM_SAVED_ACCOUNTS_H
#define PM_SAVED_ACCOUNTS_H

#include "statfile/statrows.h"

extern const PmLayout pm_account_layout;
extern const PmLayout pm_lifetime_layout;
extern const PmLayout pm_hold_layout;
extern const PmLayout pm_setup_layout;

extern void pm_put_accounts(PmWriter *writer);

/* An account is used when all that belongs to it has come: with the next, or NULL. */
extern bool pm_read_account(const PmRows *rows, bool dry);
extern bool pm_read_account_times(const PmRows *rows, bool dry);

/* Sessions that were there when the file was written, and how they ended nobody knows. */
extern int	pm_sessions_lost(void);

#endif							/* PM_SAVED_ACCOUNTS_H */
