/*
 * likely.h
 *		What was measured of a pool, and how likely that is if a simulation is right. Pure.
 */
#ifndef PM_LIKELY_H
#define PM_LIKELY_H

#include "planning/simulation.h"

#define PM_NOT_MEASURED	(-1.0)

/* Each may be PM_NOT_MEASURED, but for the ticks. */
typedef struct PmMeasured
{
	double		ticks;			/* in which the worker looked */
	double		dispersion;		/* of holds that began in them */
	double		exhausted;		/* share of time with all busy at the ceiling */
	double		overflow;		/* share of time above base */
	double		waiting;		/* share of checkouts, as clients report */
	double		mean_wait;		/* s, of all checkouts; likewise */
	double		timeouts;		/* share of checkouts; likewise */
	double		throughput;		/* checkouts a second; of who asks at random
								 * it says nothing */
	bool		few_reports;	/* there are some, but too few for the three */
	bool		most_reported;	/* half of all checkouts */
} PmMeasured;

extern double pm_misfit(const PmSimulated *simulated, int replications, const PmMeasured *measured);

#endif							/* PM_LIKELY_H */
