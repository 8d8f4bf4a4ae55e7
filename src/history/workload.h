/*
 * workload.h
 *		What a pool did in a span of time, in one sum.
 */
#ifndef PM_WORKLOAD_H
#define PM_WORKLOAD_H

#include "history/read.h"

typedef struct PmWorkload
{
	int			nstretches;		/* that had something */
	uint64		seen;			/* ms */
	double		connections;	/* us */
	double		busy;
	int			max_connections;
	int			max_busy;
	int			p95_busy;		/* in 95 % of the minutes it was not more */
	uint64		transactions;
	uint64		long_holds;		/* of them */
	uint64		connects;
	uint64		disconnects;
	uint64		retired;
	uint64		refused;
	uint64		rejected;
	uint64		guarded;
	uint64		would_be_guarded;
	uint64		guarded_by_reserves;
	uint64		guarded_by_rate;
	uint64		auth_failures;
	uint64		overflow;		/* ms */
	uint64		exhausted;
	uint64		over;
	uint64		starved;
	uint64		waits[PM_NUM_WAITS];	/* PM_WAIT_UNITs */
	uint64		checkouts;		/* as clients' pools report them */
	uint64		checkout_waits;
	uint64		checkout_timeouts;
	double		waited;			/* us */
	uint64		timed_checkouts;
	double		checked_out;
	double		reported_open;
} PmWorkload;

/* A minute or an hour of a copy. */
typedef struct PmStretchOf
{
	TimestampTz start;
	int64		length;			/* us */
	const PmBucket *bucket;
} PmStretchOf;

typedef struct PmChosen
{
	int			n;
	PmStretchOf *all;
} PmChosen;

extern void pm_choose_stretches(const PmPast *past, PmSpan span, PmChosen *chosen);
extern PmSpan pm_workload_reads(PmSpan span);
extern void pm_workload_of(const PmPast *past, PmSpan span, PmWorkload *work);
extern double pm_workload_samples(const PmWorkload *work);
extern bool pm_workload_is_good(const PmWorkload *work);

#endif							/* PM_WORKLOAD_H */
