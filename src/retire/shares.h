/*
 * shares.h
 *		How many sessions each login role has in each pool that shrinks.
 */
#ifndef PM_SHARES_H
#define PM_SHARES_H

#include "sessions/session.h"
#include "sessions/tally.h"

extern void pm_shares_count(PmTally *tally, bool all);
extern int	pm_share(const PmTally *tally, int pool, const PmSession *session);

#endif							/* PM_SHARES_H */
