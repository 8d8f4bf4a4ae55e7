/*
 * assign.h
 *		Which account is whose, by the declarations in force.
 */
#ifndef PM_ASSIGN_H
#define PM_ASSIGN_H

#include "accounts/place.h"
#include "base/identity.h"


/* No lock, no allocation, no error: also for processes without PGPROC. */
extern PmPlace pm_account_of(const PmIdentity *who, bool admitted, bool *echo);
extern int	pm_pool_account_of(const PmIdentity *who);

/* Called by the worker at each tick. Caller holds lock exclusively. */
extern void pm_accounts_tidy(int64 now_ms);

#endif							/* PM_ASSIGN_H */
