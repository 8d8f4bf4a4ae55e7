/*
 * durations.c
 *		Draws durations from a histogram, by Walker's alias method (A. J. Walker, ACM
 *		Transactions on Mathematical Software 3, 1977; built as M. D. Vose, IEEE Transactions
 *		on Software Engineering 17, 1991): one random number for the bucket, however many there
 *		are, another for the place in it.
 */
#include "postgres.h"

#include "planning/durations.h"

/* The buckets that have something, in seconds; returns how many values. */
static double
take_ranges(PmDurations *durations, const uint64 *counts, int64 max, double *weights)
{
	double		total = 0;

	for (int b = 0; b < PM_BUCKETS; b++)
	{
		int64		low = pm_bucket_low(b);
		int64		high = b + 1 < PM_BUCKETS ? pm_bucket_low(b + 1) : low;

		if (counts[b] == 0)
			continue;
		low = Min(low, Max(max, 0));
		high = Max(Min(high, max), low);
		durations->low[durations->n] = low / 1000000.0;
		durations->width[durations->n] = (high - low) / 1000000.0;
		weights[durations->n++] = counts[b];
		total += counts[b];
	}
	return total;
}

/* So that the mean is this; 0: as it is. */
static void
scale(PmDurations *durations, const double *weights, double total, double mean)
{
	double		is = 0;

	for (int i = 0; i < durations->n; i++)
		is += weights[i] / total * (durations->low[i] + durations->width[i] / 2);
	durations->mean = is;
	if (mean <= 0 || is <= 0)
		return;
	durations->mean = mean;
	for (int i = 0; i < durations->n; i++)
	{
		durations->low[i] *= mean / is;
		durations->width[i] *= mean / is;
	}
}

/* weights, which come to total, become what of its n-th each range keeps to itself. */
static void
share_out(PmDurations *durations, double *weights, double total)
{
	int		   *small = palloc(sizeof(int) * durations->n);
	int		   *large = palloc(sizeof(int) * durations->n);
	int			nsmall = 0;
	int			nlarge = 0;

	for (int i = 0; i < durations->n; i++)
	{
		durations->keep[i] = weights[i] * durations->n / total;
		durations->alias[i] = i;
		if (durations->keep[i] < 1)
			small[nsmall++] = i;
		else
			large[nlarge++] = i;
	}
	while (nsmall > 0 && nlarge > 0)
	{
		int			i = small[--nsmall];
		int			j = large[nlarge - 1];

		durations->alias[i] = j;
		durations->keep[j] -= 1 - durations->keep[i];
		if (durations->keep[j] < 1)
			small[nsmall++] = large[--nlarge];
	}
	pfree(small);
	pfree(large);
}

/*
 * counts: of all buckets of a histogram, of us, the largest value of which is max; mean: what
 * all are stretched to, in seconds, 0 for not at all. Allocates in the current context.
 */
void
pm_durations_init(PmDurations *durations, const uint64 *counts, int64 max, double mean)
{
	double	   *weights = palloc(sizeof(double) * PM_BUCKETS);
	double		total;

	durations->n = 0;
	durations->mean = 0;
	durations->low = palloc(sizeof(double) * PM_BUCKETS);
	durations->width = palloc(sizeof(double) * PM_BUCKETS);
	durations->keep = palloc(sizeof(double) * PM_BUCKETS);
	durations->alias = palloc(sizeof(int) * PM_BUCKETS);
	total = take_ranges(durations, counts, max, weights);
	if (durations->n > 0)
	{
		scale(durations, weights, total, mean);
		share_out(durations, weights, total);
	}
	pfree(weights);
}
