/*
 * holds.h
 *		For how long a checkout has its connection, to be drawn from. Takes memory; knows nothing
 *		of the server.
 */
#ifndef PM_HOLDS_PLANNING_H
#define PM_HOLDS_PLANNING_H

#include "planning/durations.h"

typedef struct PmHolds
{
	PmDurations transaction;
	double		transactions;	/* of a checkout, on average */
	double		besides;		/* s, on average: exponential */
	double		mean;			/* s, of all of it */
} PmHolds;

extern void pm_holds_init(PmHolds *holds, const uint64 *counts, int64 max, double mean, double transactions, double besides);
extern double pm_hold(const PmHolds *holds, pg_prng_state *random);

#endif							/* PM_HOLDS_PLANNING_H */
