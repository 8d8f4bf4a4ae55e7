/*
 * failed.h
 *		Logins that came to nothing: counted, when, and whose the first was.
 */
#ifndef PM_FAILED_H
#define PM_FAILED_H

#include "accounts/counters.h"
#include "accounts/first.h"
#include "accounts/place.h"

/* No lock, no allocation, no error: also for processes without PGPROC. */
extern void pm_account_count_failed(PmPlace place, PmCounter counter, const PmIdentity *who);
extern void pm_account_weigh_refusal(void);
extern bool pm_account_refused_lately(int account, int64 now);

/* For the worker; no lock. */
extern bool pm_first_failure(int account, PmFailureKind kind, PmFirstFailure *copy);
extern void pm_first_failure_forget(int account, PmFailureKind kind);

#endif							/* PM_FAILED_H */
