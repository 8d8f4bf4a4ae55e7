/*
 * bursts.h
 *		Bursts of logins that come to nothing, as events.
 */
#ifndef PM_BURSTS_H
#define PM_BURSTS_H

#include "base/identity.h"

#define PM_NUM_BURSTS	4		/* kinds of them: bursts.c */

/* What the worker knows of one kind, of one account. Begins as zeros. */
typedef struct PmBurst
{
	uint64		counted;		/* at the last tick */
	uint64		failed;			/* one soon after the other; 0: none lately */
	uint64		told;			/* so many when it was told of last; 0: it was
								 * not */
	int64		since;			/* ms, monotonic */
	int64		last;
} PmBurst;

/* bursts: all kinds. */
extern void pm_bursts_begin(PmBurst *bursts, int account, bool from_now_on);
extern void pm_bursts_watch(PmBurst *bursts, int account, const PmOwner *owner, int64 now);

#endif							/* PM_BURSTS_H */
