/*
 * statuses.h
 *		What pools and the server are in, with its beginning and its end.
 */
#ifndef PM_STATUSES_H
#define PM_STATUSES_H

#include "pools/declared.h"

/* The server at one moment. */
typedef struct PmServerStanding
{
	int			connections;
	int			usable;
	int			budget;
	int			authenticating;
	PmServerStatus status;		/* as it is seen */
	bool		is[PM_NUM_CONDITIONS];
} PmServerStanding;

/* What began or ended. */
typedef struct PmChange
{
	const PmPool *pool;			/* NULL: the server, or bygone */
	char		bygone[PM_NAME_LEN];	/* if set: a pool whose declaration is
										 * no longer in force, and which ended
										 * with it */
	PmCondition condition;
	bool		begun;
	PmEpisode	episode;
	PmStanding	standing;		/* of the pool */
} PmChange;

/* Caller holds lock; returns the number of changes, PM_NUM_CONDITIONS at most. */
extern int	pm_follow_pool(PmPoolState *state, const PmPool *pool, const PmStanding *standing,
						   int64 elapsed, TimestampTz now, PmChange *changes);
extern int	pm_follow_server(const PmServerStanding *standing, int64 elapsed, TimestampTz now, PmChange *changes);

/* As events, and in the log. */
extern void pm_tell_changes(const PmChange *changes, int n, const PmServerStanding *server);

/* repeats.c */
extern void pm_tell_of_repeats(void);

#endif							/* PM_STATUSES_H */
