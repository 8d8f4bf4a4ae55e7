/*
 * histogram.c
 *		What is read from a histogram of durations.
 */
#include "postgres.h"

#include <math.h>

#include "base/histogram.h"

/* The least duration in us that is in the bucket. */
int64
pm_bucket_low(int bucket)
{
	int			octave = bucket / PM_OCTAVE_BUCKETS;
	int64		low = PM_OCTAVE_BUCKETS + bucket % PM_OCTAVE_BUCKETS;

	return octave < 2 ? bucket : low << (octave - 1);
}

/* The duration in us that stands for the bucket. */
int64
pm_bucket_middle(int bucket)
{
	int			octave = bucket / PM_OCTAVE_BUCKETS;

	return pm_bucket_low(bucket) + (octave < 2 ? 0 : (INT64CONST(1) << (octave - 1)) / 2);
}

static uint64
sum_of_octave(const uint64 *counts)
{
	StaticAssertStmt(PM_OCTAVE_BUCKETS == 8, "an octave has eight buckets");
	return counts[0] + counts[1] + counts[2] + counts[3] + counts[4] + counts[5] + counts[6] + counts[7];
}

/* The bucket with the value of this rank, which is in the octave; seen is how many are before it. */
static int
bucket_of_rank(const uint64 *counts, int octave, uint64 seen, uint64 rank)
{
	int			bucket = octave * PM_OCTAVE_BUCKETS;

	while ((seen += counts[bucket]) < rank)
		bucket++;
	return bucket;
}

/*
 * The smallest durations that the given shares of all values, in ascending order, do
 * not exceed (nearest rank): off by at most 6.25 %, never above max; all -1 when
 * there is no value. Goes by octaves, of which most are empty.
 */
void
pm_quantiles(const uint64 *counts, int n, const double *shares, int64 max, int64 *durations)
{
	uint64		sums[PM_OCTAVES];
	uint64		total = 0;
	uint64		seen = 0;
	int			octave = 0;

	for (int o = 0; o < PM_OCTAVES; o++)
		total += sums[o] = sum_of_octave(&counts[o * PM_OCTAVE_BUCKETS]);
	for (int i = 0; i < n; i++)
	{
		uint64		rank = Max((uint64) ceil(shares[i] * total), 1);

		while (octave < PM_OCTAVES && seen + sums[octave] < rank)
			seen += sums[octave++];
		if (total == 0)
			durations[i] = -1;
		else
			durations[i] = Min(pm_bucket_middle(bucket_of_rank(counts, octave, seen, rank)), max);
	}
}
