/*
 * simulation.h
 *		What is simulated, and what comes of it; what the files behind simulate.h share.
 */
#ifndef PM_SIMULATION_H
#define PM_SIMULATION_H

#include "planning/holds.h"
#include "planning/totals.h"

/* Arrivals at one rate. Seconds here and below. */
typedef struct PmStretch
{
	double		seconds;
	double		rate;			/* a second, of all processes */
	double		dispersion;		/* variance by mean of arrivals in a tick; 1:
								 * random */
} PmStretch;

/* So many, each of which waits for its answer before it asks again. */
typedef struct PmCallers
{
	int			n;				/* in all processes */
	double	   *thoughts;		/* of each stretch: s from an answer to the
								 * next question, on average; infinity: none */
	double		turn;			/* s from one question to the next, when it
								 * was measured */
} PmCallers;

/* How bursts look of which only the dispersion is known; or that it is callers, and no bursts. */
typedef struct PmBurstShape
{
	bool		alike;			/* all of one size; else geometric */
	bool		together;		/* each comes to one process; else its
								 * checkouts to any */
	double		size;			/* dispersion above 1, as a share of what was
								 * measured */
	double		spread;			/* of a burst, in ticks */
	bool		in_turn;		/* the next process has the next checkout */
	const PmCallers *callers;	/* NULL: who asks does not wait for anything */
} PmBurstShape;

/* What is simulated. */
typedef struct PmSimulation
{
	int			processes;
	const PmChoice *shares;		/* of the checkouts, of each; none: alike */
	const double *waits;		/* s that a checkout of each waited when it
								 * was measured; NULL: alike */
	int			pool_size;		/* of each; 0: unbounded */
	int			max_overflow;	/* -1: unbounded */
	double		pool_timeout;
	const PmStretch *stretches;
	int			nstretches;
	const PmHolds *holds;
	const PmDurations *setups;	/* of connections that are opened */
	double		tick;
	const PmBurstShape *shapes; /* of replications, in turn */
	int			nshapes;
	uint64		seed;
	int			replications;
	int64		budget;			/* arrivals of each; about */
} PmSimulation;

typedef struct PmSimulated
{
	int64		arrivals;		/* of all replications, as far as they count */
	double		share;			/* of the stretches, in each of them */
	PmEstimate	of[PM_NUM_OUTCOMES];
} PmSimulated;

#endif							/* PM_SIMULATION_H */
