/*
 * settle.h
 *		From what each session counts for itself to the accounts.
 */
#ifndef PM_SETTLE_H
#define PM_SETTLE_H

#include "accounts/figures.h"
#include "sessions/tally.h"

extern void pm_settle_begin(PmTally *tally, PmOpen *open);
extern int	pm_settle(const PmTally *tally, PmClass *class, const PmSession *session, PmOpen *open);
extern void pm_settle_all(PmTally *tally, PmOpen *open);

#endif							/* PM_SETTLE_H */
