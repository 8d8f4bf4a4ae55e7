/*
 * durations.h
 *		Durations to be drawn from, in seconds. Takes memory; knows nothing of the server.
 */
#ifndef PM_DURATIONS_H
#define PM_DURATIONS_H

#include "base/histogram.h"
#include "common/pg_prng.h"

typedef struct PmDurations
{
	int			n;				/* 0: there are none */
	double		mean;
	double	   *low;			/* of each range; values are evenly in it */
	double	   *width;
	double	   *keep;			/* of its turns; else it is the alias's */
	int		   *alias;
} PmDurations;

extern void pm_durations_init(PmDurations *durations, const uint64 *counts, int64 max, double mean);

/* There must be some. */
static inline double
pm_duration(const PmDurations *durations, pg_prng_state * random)
{
	double		turn = pg_prng_double(random) * durations->n;
	int			i = Min((int) turn, durations->n - 1);

	if (turn - i >= durations->keep[i])
		i = durations->alias[i];
	return durations->low[i] + durations->width[i] * pg_prng_double(random);
}

#endif							/* PM_DURATIONS_H */
