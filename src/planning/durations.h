/*
 * durations.h
 *		Choices with weights, and durations to be drawn from, in seconds. Takes memory; knows
 *		nothing of the server.
 */
#ifndef PM_DURATIONS_H
#define PM_DURATIONS_H

#include "base/histogram.h"
#include "common/pg_prng.h"

typedef struct PmChoice
{
	int			n;				/* 0: there is none */
	double	   *keep;			/* of its turns; else it is the alias's */
	int		   *alias;
} PmChoice;

typedef struct PmDurations
{
	PmChoice	ranges;
	double		mean;
	double	   *low;			/* of each range; values are evenly in it */
	double	   *width;
} PmDurations;

extern void pm_choice_init(PmChoice *choice, const double *weights, int n);
extern void pm_durations_init(PmDurations *durations, const uint64 *counts, int64 max, double mean);

/* There must be some. */
static inline int
pm_choose(const PmChoice *choice, pg_prng_state *random)
{
	double		turn = pg_prng_double(random) * choice->n;
	int			i = Min((int) turn, choice->n - 1);

	return turn - i < choice->keep[i] ? i : choice->alias[i];
}

/* Likewise. */
static inline double
pm_duration(const PmDurations *durations, pg_prng_state *random)
{
	int			i = pm_choose(&durations->ranges, random);

	return durations->low[i] + durations->width[i] * pg_prng_double(random);
}

#endif							/* PM_DURATIONS_H */
