/*
 * arrivals.c
 *		How unevenly holds began: the index of dispersion.
 *
 * It is the variance of how many begin in a tick, by their mean: 1 where they begin at random
 * (Poisson), 0 where they come as regularly as can be, 20 where they come at random in
 * batches of 20 (D. R. Cox, P. A. W. Lewis, "The Statistical Analysis of Series of Events",
 * 1966, chapter 4.5). Of a tick of t seconds, at a rate r and with an index I, the mean of
 * n * n / t is r * r * t + r * I. So ticks need not be of one length, and of k of them, which
 * take T seconds together and have N arrivals,
 *
 *		I = (sum of n * n / t - N * N / T) / (N / T * (k - 1))
 *
 * A minute has its own rate, so that a day's curve is no burst.
 */
#include "postgres.h"

#include "history/arrivals.h"

/* What one minute adds to both sides of the quotient. */
static void
add_minute(const PmBucket *minute, double *excess, double *expected)
{
	double		seconds = minute->seen / 1000.0;
	double		rate = seconds > 0 ? minute->transactions / seconds : 0;

	/* saturated: nobody knows by how much it is more */
	if (minute->ticks < 2 || minute->squares == PG_UINT32_MAX)
		return;
	*excess += minute->squares - rate * minute->transactions;
	*expected += rate * (minute->ticks - 1);
}

/* Of these minutes, each with a rate of its own; PM_DISPERSION_UNKNOWN where nothing began. */
double
pm_dispersion(const PmBucket *minutes, int n)
{
	double		excess = 0;
	double		expected = 0;

	for (int i = 0; i < n; i++)
		add_minute(&minutes[i], &excess, &expected);
	return expected > 0 ? Max(excess / expected, 0) : PM_DISPERSION_UNKNOWN;
}
