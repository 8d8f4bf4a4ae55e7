/*
 * verdicts.h
 *		Which roles' sessions are never retired.
 */
#ifndef PM_VERDICTS_H
#define PM_VERDICTS_H

#include "base/reason.h"

extern void pm_verdicts_begin(int64 budget_ms);
extern PmReason pm_verdict(Oid role);
extern PmReason pm_verdict_anew(Oid login_role, Oid role);
extern bool pm_verdicts_put_off(void);

#endif							/* PM_VERDICTS_H */
