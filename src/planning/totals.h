/*
 * totals.h
 *		What a replication of a simulation comes to, and what all of them say. Pure.
 */
#ifndef PM_TOTALS_H
#define PM_TOTALS_H

/* What each replication comes to, in this order. */
typedef enum PmOutcome
{
	PM_SIM_WAIT_P50,			/* of all checkouts, pool_timeout of those
								 * that gave up */
	PM_SIM_WAIT_P95,
	PM_SIM_WAIT_P99,
	PM_SIM_LONGEST,
	PM_SIM_WAITING,				/* share of the checkouts that waited, and got
								 * one */
	PM_SIM_MEAN_WAIT,			/* of all that got a connection */
	PM_SIM_TIMEOUTS,			/* in all stretches together */
	PM_SIM_TIMEOUT_SHARE,
	PM_SIM_FULL,				/* share of time, of a process at its ceiling */
	PM_SIM_ALL_FULL,			/* of all of them at once */
	PM_SIM_OVERFLOW,			/* with more than base open */
	PM_SIM_THROUGHPUT,			/* checkouts a second that got a connection */
	PM_SIM_OPENED,				/* an hour */
	PM_SIM_CONNECTIONS,			/* on average */
	PM_SIM_BUSY,
	PM_SIM_DISPERSION,			/* as the worker would see it */
	PM_NUM_OUTCOMES
} PmOutcome;

typedef struct PmEstimate
{
	double		mean;
	double		low;			/* 95 % */
	double		high;
	double		sd;				/* of one replication */
} PmEstimate;

/* Waits in us, in buckets of 1/64 of an octave. */
#define PM_FINE_BITS		6
#define PM_FINE_BUCKETS	((50 - PM_FINE_BITS + 1) << PM_FINE_BITS)

/* What counts of one replication, and for how much. */
typedef struct PmTotals
{
	double		weight;			/* of what comes next */
	int64		arrivals;		/* without a weight */
	double		checkouts;
	double		waited;
	double		timeouts;
	double		opened;
	double		wait;			/* of those that got a connection */
	double		longest;
	double		time;
	double		full;			/* times processes */
	double		all_full;
	double		overflow;
	double		connections;	/* times connections */
	double		busy;
	double		excess;			/* of how unevenly holds begin: see ticks.c */
	double		expected;
	double		waits[PM_FINE_BUCKETS];
} PmTotals;

extern void pm_totals_count(PmTotals *totals, double wait, bool gave_up);
extern void pm_totals_conclude(const PmTotals *totals, int processes, double time, double *outcomes);
extern PmEstimate pm_estimate(const double (*outcomes)[PM_NUM_OUTCOMES], int n, int which);

#endif							/* PM_TOTALS_H */
