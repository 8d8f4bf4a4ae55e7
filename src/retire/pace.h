/*
 * pace.h
 *		How scheduled retirement goes, in shared memory: so it outlives the worker.
 *
 * The worker writes. Who else reads takes each word as it is, without a lock.
 */
#ifndef PM_PACE_H
#define PM_PACE_H

#include "accounts/roles.h"
#include "base/shmem.h"

/* How a login role's clients answer the retirements of its sessions: pauses.c. */
typedef struct PmJudged
{
	PmRole	   *role;			/* whose; where it is never changes */

	int64		paused_until;	/* 0: not paused */
	bool		storm;			/* in one of its own */
	bool		learning;		/* not retired until it is known what is
								 * normal */
	uint32		answers;		/* the last ones, the latest in bit 0; 1: bad */
	int64		judged_at;
	int64		owed;			/* lost before that, and not opened again */
	/* evidence since role->watched_since */
	uint64		connects_before;
	int64		by_hand_before;
	int			lost;			/* its sessions retired on schedule since then */
} PmJudged;

/*
 * Of one pool; times in ms of the monotonic clock. It stays with the account, so that
 * a pool that is declared anew keeps its pace.
 */
typedef struct PmPace
{
	uint32		incarnation;	/* of the account */
	int64		last_retired;	/* on schedule, or the question put; 0: none */
	int64		gap;			/* that was kept then */
	double		own_rate;		/* sessions a second that the pool replaces by
								 * itself */
	int64		scheduled;		/* sessions that were retired on schedule */
	int64		by_hand;		/* that were not, but for a constant: at the
								 * last look */
	PmJudged	judged[PM_MOST_ROLES];
} PmPace;

/* Seconds with refusals by half a full server that make it a full one. */
#define PM_HALF_SAMPLES 3

/* What the refused logins of the last time say; times in ms, monotonic, 0: never. */
typedef struct PmRefusals
{
	uint32		full;			/* what the counters were at the last look */
	uint32		half;
	int64		last_full;		/* a login was refused by a full server */
	int64		half_at[PM_HALF_SAMPLES];	/* by one that logins may have
											 * filled: the last seconds with
											 * such ones */
	int			half_next;		/* the oldest of them */
	int64		looked_at;
	int64		hour_begin;
	int64		hour_paused;	/* ms for their sake, since then */
} PmRefusals;

typedef struct PmRetirement
{
	PmRefusals	refusals;		/* refusals.c */
	bool		refusing;		/* so that scheduled retirement pauses */
	int64		interval_begin; /* ms, monotonic */
	int			interval_retired;	/* on schedule, since then */
	PmPace		paces[FLEXIBLE_ARRAY_MEMBER];	/* pm_num_accounts() */
} PmRetirement;

extern PmRetirement *pm_retirement;
extern const PmSection pm_retirement_section;

/* For a module of the tests, which forges what is in there. No SQL can call it. */
extern PGDLLEXPORT PmRetirement *pm_retirement_memory(void);

/* For the worker: that of an account. */
extern PmPace *pm_pace_of(int account);

/* For others: NULL where there is none yet. */
extern const PmPace *pm_pace_seen(int account);

#endif							/* PM_PACE_H */
