/*
 * histogram.h
 *		Durations in logarithmic buckets. Pure.
 *
 * Each power of two has eight buckets of equal width, so the middle of a bucket
 * is off by at most 1/16 (6.25 %) of any value in it; below 16 us buckets are
 * exact. (The layout of HdrHistogram, with three significant bits.)
 */
#ifndef PM_HISTOGRAM_H
#define PM_HISTOGRAM_H

#include "port/pg_bitutils.h"

#define PM_OCTAVE_BUCKETS	8
#define PM_MAX_POWER		49	/* 2^50 us are 35 years */
#define PM_OCTAVES			(PM_MAX_POWER - 1)
#define PM_BUCKETS			(PM_OCTAVES * PM_OCTAVE_BUCKETS)

/* A hold is long from here on, about a second: where an octave begins. us */
#define PM_LONG_HOLD		(1 << 20)

/* The bucket of a duration in us; what is out of range goes to the ends. */
static inline int
pm_bucket(int64 us)
{
	int			power;

	if (us < PM_OCTAVE_BUCKETS)
		return us < 0 ? 0 : (int) us;
	power = pg_leftmost_one_pos64((uint64) us);
	if (power > PM_MAX_POWER)
		return PM_BUCKETS - 1;
	return (power - 2) * PM_OCTAVE_BUCKETS + (int) ((us >> (power - 3)) & (PM_OCTAVE_BUCKETS - 1));
}

extern int64 pm_bucket_low(int bucket);
extern int64 pm_bucket_middle(int bucket);
extern void pm_quantiles(const uint64 *counts, int n, const double *shares, int64 max, int64 *durations);

#endif							/* PM_HISTOGRAM_H */
