/*
 * history.h
 *		Fills the rings.
 */
#ifndef PM_HISTORY_H
#define PM_HISTORY_H

#include "history/rings.h"

/* What a tick has seen of a pool that the accounts do not know. */
typedef struct PmSeen
{
	int			busy;
	bool		overflow;		/* connections above base */
	bool		exhausted;		/* busy >= ceiling */
	bool		over;			/* connections above budget */
	bool		starved;		/* of the server: full */
	bool		paused;			/* scheduled retirement pauses */
} PmSeen;

/* What the busy sessions of each account do, as sampled; by account. */
typedef struct PmAtWork
{
	int		   *busy;
	int			(*waits)[PM_NUM_WAITS];
} PmAtWork;

struct PmOpen;

extern int64 pm_history_elapsed(int64 at);
extern void pm_history_tick(const struct PmRules *rules, const PmSeen *pools, const PmSeen *undeclared,
							const PmSeen *server, const struct PmOpen *open, const PmAtWork *work,
							TimestampTz now, int64 at);

#endif							/* PM_HISTORY_H */
