/*
 * histogram.c
 *		What is read from a histogram of durations.
 */
#include "postgres.h"

#include <math.h>

#include "base/histogram.h"

/* The duration in us that stands for the bucket. */
int64
pm_bucket_middle(int bucket)
{
	int			octave = bucket / PM_OCTAVE_BUCKETS;
	int64		low = PM_OCTAVE_BUCKETS + bucket % PM_OCTAVE_BUCKETS;

	if (octave < 2)
		return bucket;
	return (low << (octave - 1)) + (INT64CONST(1) << (octave - 1)) / 2;
}

/*
 * The smallest duration that the given share of all values does not exceed
 * (nearest rank), off by at most 6.25 %, never above max; -1 when there is no
 * value.
 */
int64
pm_quantile(const uint64 *counts, double quantile, int64 max)
{
	uint64		total = 0;
	uint64		seen = 0;
	uint64		rank;

	for (int i = 0; i < PM_BUCKETS; i++)
		total += counts[i];
	if (total == 0)
		return -1;
	rank = Max((uint64) ceil(quantile * total), 1);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		seen += counts[i];
		if (seen >= rank)
			return Min(pm_bucket_middle(i), max);
	}
	return max;
}
