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

/* Of the values in order, which is the smallest that the share of them does not exceed. */
static uint64
rank_of(double share, uint64 total)
{
	return Max((uint64) ceil(share * total), 1);
}

/*
 * The smallest durations that the given shares of all values, in ascending order, do
 * not exceed (nearest rank): off by at most 6.25 %, never above max; all -1 when
 * there is no value.
 */
void
pm_quantiles(const uint64 *counts, int n, const double *shares, int64 max, int64 *durations)
{
	uint64		total = 0;
	uint64		seen = 0;
	int			next = 0;

	for (int i = 0; i < PM_BUCKETS; i++)
		total += counts[i];
	for (int i = 0; total > 0 && next < n && i < PM_BUCKETS; i++)
	{
		if (counts[i] == 0)
			continue;
		seen += counts[i];
		while (next < n && seen >= rank_of(shares[next], total))
			durations[next++] = Min(pm_bucket_middle(i), max);
	}
	while (next < n)
		durations[next++] = total > 0 ? max : -1;
}
