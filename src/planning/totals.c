/*
 * totals.c
 *		What a replication of a simulation comes to, and what all of them say.
 */
#include "postgres.h"

#include <math.h>

#include "planning/totals.h"
#include "port/pg_bitutils.h"

static int
fine_bucket(double seconds)
{
	uint64		us = (uint64) Min(seconds * 1000000, 1e15);
	int			power;

	if (us < (1 << PM_FINE_BITS))
		return (int) us;
	power = Min(pg_leftmost_one_pos64(us), 49);
	return ((power - PM_FINE_BITS + 1) << PM_FINE_BITS) + (int) ((us >> (power - PM_FINE_BITS)) & ((1 << PM_FINE_BITS) - 1));
}

/* In seconds; of the one after the last, where that one ends. */
static double
fine_low(int bucket)
{
	int			octave = bucket >> PM_FINE_BITS;
	double		low = (1 << PM_FINE_BITS) + (bucket & ((1 << PM_FINE_BITS) - 1));

	return (octave == 0 ? bucket : ldexp(low, octave - 1)) / 1000000;
}

/* A checkout that came to an end after so many seconds; gave_up: it got no connection. */
void
pm_totals_count(PmTotals *totals, double wait, bool gave_up)
{
	totals->arrivals++;
	totals->checkouts += totals->weight;
	totals->waits[fine_bucket(wait)] += totals->weight;
	totals->longest = Max(totals->longest, wait);
	if (gave_up)
		totals->timeouts += totals->weight;
	else
	{
		totals->waited += wait > 0 ? totals->weight : 0;
		totals->wait += wait * totals->weight;
	}
}

/* The wait that this share of the checkouts does not exceed. */
static double
wait_quantile(const PmTotals *totals, double share)
{
	double		rank = share * totals->checkouts;
	double		seen = 0;
	int			bucket = 0;
	double		width;

	if (totals->checkouts == 0)
		return 0;
	while (bucket < PM_FINE_BUCKETS - 1 && seen + totals->waits[bucket] < rank)
		seen += totals->waits[bucket++];
	if (bucket == 0)
		return 0;
	width = fine_low(bucket + 1) - fine_low(bucket);
	return Min(fine_low(bucket) + width * (rank - seen) / Max(totals->waits[bucket], 1), totals->longest);
}

static double
by(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

/* Of each process and of the time that counted; time: of all stretches. */
void
pm_totals_conclude(const PmTotals *totals, int processes, double time, double *outcomes)
{
	outcomes[PM_SIM_WAIT_P50] = wait_quantile(totals, 0.50);
	outcomes[PM_SIM_WAIT_P95] = wait_quantile(totals, 0.95);
	outcomes[PM_SIM_WAIT_P99] = wait_quantile(totals, 0.99);
	outcomes[PM_SIM_LONGEST] = totals->longest;
	outcomes[PM_SIM_WAITING] = by(totals->waited, totals->checkouts);
	outcomes[PM_SIM_MEAN_WAIT] = by(totals->wait, totals->checkouts - totals->timeouts);
	outcomes[PM_SIM_TIMEOUTS] = by(totals->timeouts * time, totals->time);
	outcomes[PM_SIM_TIMEOUT_SHARE] = by(totals->timeouts, totals->checkouts);
	outcomes[PM_SIM_FULL] = by(totals->full, totals->time * processes);
	outcomes[PM_SIM_ALL_FULL] = by(totals->all_full, totals->time);
	outcomes[PM_SIM_OVERFLOW] = by(totals->overflow, totals->time);
	outcomes[PM_SIM_THROUGHPUT] = by(totals->checkouts - totals->timeouts, totals->time);
	outcomes[PM_SIM_OPENED] = by(totals->opened * 3600.0, totals->time);
	outcomes[PM_SIM_CONNECTIONS] = by(totals->connections, totals->time);
	outcomes[PM_SIM_BUSY] = by(totals->busy, totals->time);
	outcomes[PM_SIM_DISPERSION] = by(totals->excess, totals->expected);
}

/* Student's t of 95 %, for so many degrees of freedom, within 0.1 % (from 3 on). */
static double
student(int freedom)
{
	static const double few[] = {12.706, 4.303};
	const double z = 1.959964;

	if (freedom <= (int) lengthof(few))
		return few[freedom - 1];
	return z + (z * z * z + z) / (4 * freedom) +
		(5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96.0 * freedom * freedom) +
		(3 * pow(z, 7) + 19 * pow(z, 5) + 17 * z * z * z - 15 * z) / (384.0 * freedom * freedom * freedom);
}

static bool
is_share(int which)
{
	return which == PM_SIM_WAITING || which == PM_SIM_TIMEOUT_SHARE || which == PM_SIM_FULL ||
		which == PM_SIM_ALL_FULL || which == PM_SIM_OVERFLOW;
}

/*
 * Mean of n replications and its interval, by Student's t. None of the outcomes can be
 * negative, and no share above 1.
 */
PmEstimate
pm_estimate(const double (*outcomes)[PM_NUM_OUTCOMES], int n, int which)
{
	double		mean = 0;
	double		squares = 0;
	double		sd;
	double		half;

	for (int i = 0; i < n; i++)
		mean += outcomes[i][which];
	mean /= n;
	for (int i = 0; i < n; i++)
		squares += (outcomes[i][which] - mean) * (outcomes[i][which] - mean);
	sd = n > 1 ? sqrt(squares / (n - 1)) : 0;
	half = n > 1 ? student(n - 1) * sd / sqrt(n) : 0;
	return (PmEstimate)
	{
		.mean = mean,.low = Max(mean - half, 0),.high = is_share(which) ? Min(mean + half, 1) : mean + half,.sd = sd
	};
}
