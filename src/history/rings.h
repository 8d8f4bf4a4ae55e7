/*
 * rings.h
 *		What the pools did, by the minute and by the hour, in shared memory.
 */
#ifndef PM_RINGS_H
#define PM_RINGS_H

#include "base/identity.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "history/bucket.h"
#include "storage/lwlock.h"

/* A ring of stretches; the same ones for all series. */
typedef struct PmRing
{
	int			length;
	int			count;			/* in use */
	int			head;			/* the current one */
	int64		resolution;		/* us */
	TimestampTz *starts;		/* length; they only grow */
	PmBucket   *buckets;		/* of series s at s * length */
} PmRing;

#define PM_NUM_RINGS 2			/* minutes, hours */

/* One pool's, or a sum's, line through the rings. */
typedef struct PmSeries
{
	char		name[PM_NAME_LEN];	/* empty: free */
	int			account;		/* -1: of a pool that is not declared now */
	/* what these stood at when the last tick ended, if primed */
	bool		primed;
	uint32		incarnation;	/* of the account */
	int64		open_time;
	int64		busy;
	int			in_holds;		/* sessions; more while ends are ahead of
								 * begins */
	/* of an application's series alone: largest.c, giveway.c */
	PmOwner		application;	/* name is its name, too */
	uint64		role;			/* hash of its login role's name */
	double		weight;			/* connections, which fade */
	bool		admitted;		/* it had sessions */
} PmSeries;

/* Series of the largest undeclared applications. */
#define PM_APPLICATION_SERIES	24

/*
 * Written by the worker alone. Its lock, which is held for one tick's additions, or for
 * copying one series, and never across a call that can wait or raise, protects what others
 * read: the rings, and the names of series. A series without a name is nobody's.
 */
typedef struct PmHistory
{
	LWLock		lock;
	PmRing		rings[PM_NUM_RINGS];
	int64		last_tick;		/* us, monotonic; 0: none yet */
	TimestampTz last_wall;		/* the same by the wall clock */
	int64		rest;			/* us of it that made no whole ms */
	uint64		generation;		/* of the declarations that series go by */
	int			nseries;
	PmSeries   *series;			/* max_pools, the two sums, applications */
	int		   *series_of_pool; /* by index in the declarations, -1: none */
} PmHistory;

struct PmRules;

extern PmHistory *pm_history_rings;
extern const PmSection pm_history_section;

/* For a module of the tests, which lays made-up history in there. No SQL can call it. */
extern PGDLLEXPORT PmHistory *pm_history_memory(void);

/* Is it somebody's, or was? If not, all its buckets are zero. */
static inline bool
pm_series_used(const PmSeries *series)
{
	return series->name[0] != '\0';
}

/* The place of the ring's nth stretch, the oldest first. */
static inline int
pm_ring_nth(const PmRing *ring, int n)
{
	return (ring->head - ring->count + 1 + n + ring->length) % ring->length;
}

static inline PmSeries *
pm_series_at(int s)
{
	return &pm_history_rings->series[s];
}

/* Before it are those of pools, and the sums. */
static inline int
pm_first_application_series(void)
{
	return pm_history_rings->nseries - PM_APPLICATION_SERIES;
}

/* For the worker. */
extern int	pm_history_series(const char *name);
extern int	pm_history_application(const PmOwner *owner);
extern void pm_history_weigh(int series, const PmBucket *bucket, int64 age);
extern void pm_history_clear(int series);
extern void pm_history_follow(int64 elapsed);
extern void pm_history_map(const struct PmRules *rules);
extern void pm_history_approach(const PmRing *ring, TimestampTz now);
extern int	pm_history_open(PmRing *ring, TimestampTz now);

#endif							/* PM_RINGS_H */
