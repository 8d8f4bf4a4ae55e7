/*
 * simulate.h
 *		A pool's processes as queues, event after event. Takes memory, and can be cancelled;
 *		knows nothing of the server.
 */
#ifndef PM_SIMULATE_H
#define PM_SIMULATE_H

#include "planning/durations.h"

/* Arrivals at one rate. Seconds here and below. */
typedef struct PmStretch
{
	double		seconds;
	double		rate;			/* a second, of all processes */
	double		dispersion;		/* variance by mean of arrivals in a tick; 1:
								 * random */
} PmStretch;

/* How bursts look of which only the dispersion is known. */
typedef struct PmBurstShape
{
	bool		alike;			/* all of one size; else geometric */
	double		spread;			/* of a burst, in ticks */
} PmBurstShape;

/* What is simulated. */
typedef struct PmSimulation
{
	int			processes;
	const PmChoice *shares;		/* of the checkouts, of each; none: alike */
	int			pool_size;		/* of each; 0: unbounded */
	int			max_overflow;	/* -1: unbounded */
	double		pool_timeout;
	const PmStretch *stretches;
	int			nstretches;
	const PmDurations *holds;
	const PmDurations *setups;	/* of connections that are opened */
	double		tick;
	PmBurstShape shape;
	uint64		seed;
	int			replications;
	int64		budget;			/* arrivals of each; about */
} PmSimulation;

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
	PM_SIM_OPENED,				/* an hour */
	PM_SIM_CONNECTIONS,			/* on average */
	PM_SIM_BUSY,
	PM_NUM_OUTCOMES
} PmOutcome;

typedef struct PmEstimate
{
	double		mean;
	double		low;			/* 95 % */
	double		high;
} PmEstimate;

typedef struct PmSimulated
{
	int64		arrivals;		/* of all replications, as far as they count */
	double		share;			/* of the stretches, in each of them */
	PmEstimate	of[PM_NUM_OUTCOMES];
} PmSimulated;

extern void pm_simulate(const PmSimulation *simulation, PmSimulated *simulated);

#endif							/* PM_SIMULATE_H */
