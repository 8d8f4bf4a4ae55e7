/*
 * durations.c
 *		Choices with weights, and durations from a histogram, by Walker's alias method (A. J. Walker, ACM
 *		Transactions on Mathematical Software 3, 1977; built as M. D. Vose, IEEE Transactions
 *		on Software Engineering 17, 1991): one random number for the bucket, however many there
 *		are, another for the place in it.
 */
#include "postgres.h"

#include "planning/durations.h"

/* One of n with these weights, not all 0. Allocates in the current memory context. */
void
pm_choice_init(PmChoice *choice, const double *weights, int n)
{
	int		   *small = palloc(sizeof(int) * n);
	int		   *large = palloc(sizeof(int) * n);
	int			nsmall = 0;
	int			nlarge = 0;
	double		total = 0;

	choice->n = n;
	choice->keep = palloc(sizeof(double) * n);
	choice->alias = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
		total += weights[i];
	for (int i = 0; i < n; i++)
	{
		choice->keep[i] = weights[i] * n / total;
		choice->alias[i] = i;
		if (choice->keep[i] < 1)
			small[nsmall++] = i;
		else
			large[nlarge++] = i;
	}
	while (nsmall > 0 && nlarge > 0)
	{
		int			i = small[--nsmall];
		int			j = large[nlarge - 1];

		choice->alias[i] = j;
		choice->keep[j] -= 1 - choice->keep[i];
		if (choice->keep[j] < 1)
			small[nsmall++] = large[--nlarge];
	}
	pfree(small);
	pfree(large);
}

/* The buckets that have something, in seconds; returns how many. */
static int
take_ranges(PmDurations *durations, const uint64 *counts, int64 max, double *weights)
{
	int			n = 0;

	for (int b = 0; b < PM_BUCKETS; b++)
	{
		int64		low = pm_bucket_low(b);
		int64		high = b + 1 < PM_BUCKETS ? pm_bucket_low(b + 1) : low;

		if (counts[b] == 0)
			continue;
		low = Min(low, Max(max, 0));
		high = Max(Min(high, max), low);
		durations->low[n] = low / 1000000.0;
		durations->width[n] = (high - low) / 1000000.0;
		weights[n++] = counts[b];
	}
	return n;
}

/* So that the mean is this; 0: as it is. */
static void
scale(PmDurations *durations, const double *weights, int n, double mean)
{
	double		total = 0;
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		total += weights[i];
		sum += weights[i] * (durations->low[i] + durations->width[i] / 2);
	}
	durations->mean = sum / total;
	if (mean <= 0 || sum <= 0)
		return;
	durations->mean = mean;
	for (int i = 0; i < n; i++)
	{
		durations->low[i] *= mean * total / sum;
		durations->width[i] *= mean * total / sum;
	}
}

/*
 * counts: of all buckets of a histogram, of us, the largest value of which is max; mean: what
 * all are stretched to, in seconds, 0 for not at all. Allocates in the current context.
 */
void
pm_durations_init(PmDurations *durations, const uint64 *counts, int64 max, double mean)
{
	double	   *weights = palloc(sizeof(double) * PM_BUCKETS);
	int			n;

	memset(durations, 0, sizeof(PmDurations));
	durations->low = palloc(sizeof(double) * PM_BUCKETS);
	durations->width = palloc(sizeof(double) * PM_BUCKETS);
	n = take_ranges(durations, counts, max, weights);
	if (n > 0)
	{
		scale(durations, weights, n, mean);
		pm_choice_init(&durations->ranges, weights, n);
	}
	pfree(weights);
}
