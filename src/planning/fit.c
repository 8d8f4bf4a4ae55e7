/*
 * fit.c
 *		Sizes for several pools at once: marginal analysis.
 *
 * What is to be small is the number of checkouts that wait, on average and of all
 * pools together; each process is a queue of its own (M/M/c, sizing.c, or as the caller
 * says how many wait, which must be convex too). It is
 * convex in the size of each: every connection more is worth less than the one
 * before (M. E. Dyer and L. G. Proll, "On the Validity of Marginal Analysis for
 * Allocating Servers in M/M/c Queues", Management Science 23, 1977). So whoever has
 * the most of the next connection gets it, until there is none left, or none is
 * worth having (B. Fox, "Discrete Optimization via Marginal Analysis", Management
 * Science 13, 1966).
 *
 * That would be the best there is, if a step were one connection. It is one of each
 * process, so what is left in the end may be better used otherwise: the gain counts
 * for each connection, and who needs more than there is left is passed over. How far
 * that is from the best is in docs/sizing.md. Room for the largest single surge is kept,
 * which is no part of what is gained.
 */
#include "postgres.h"

#include <math.h>

#include "planning/fit.h"
#include "planning/sizing.h"

static double
waiting(const PmFitPool *pool, int size)
{
	if (pool->waiting == NULL)
		return pm_mean_queue(size, pool->load);
	return pool->waiting[Min(size - pool->least, pool->nwaiting - 1)];
}

/* By how many the checkouts that wait become fewer, for each connection of one step. */
static double
gain(const PmFitPool *pool)
{
	/* without end, and then with one */
	if (pool->load >= pool->size)
		return INFINITY;
	return waiting(pool, pool->size) - waiting(pool, pool->size + 1);
}

/* What a step takes; surge is the largest single one so far, for which there is room at a time. */
static int64
cost(const PmFitPool *pool, int64 surge)
{
	return pool->processes + Max((int64) pool->surge * (pool->size + 1) - surge, 0);
}

/* The pool that the next step is worth most for, among those that it fits for; -1: none. */
static int
next_step(const PmFitPool *pools, int npools, const double *gains, int64 room, int64 surge)
{
	int			best = -1;

	for (int i = 0; i < npools; i++)
	{
		if (gains[i] >= PM_FIT_WORTH && (best < 0 || gains[i] > gains[best]) && cost(&pools[i], surge) <= room)
			best = i;
	}
	return best;
}

/*
 * Gives each pool its size, so that all of them with the largest single surge (surge: of
 * other pools) come to no more than budget, unless the least is more already. Allocates in
 * the current memory context.
 */
void
pm_fit(PmFitPool *pools, int npools, int64 budget, int64 surge)
{
	double	   *gains = palloc(sizeof(double) * Max(npools, 1));
	int64		room = budget - surge;
	int			i;

	for (i = 0; i < npools; i++)
	{
		pools[i].size = pools[i].least - 1;
		room -= cost(&pools[i], surge) + (int64) pools[i].processes * pools[i].size;
		surge = Max(surge, (int64) pools[i].surge * pools[i].least);
		pools[i].size = pools[i].least;
		gains[i] = gain(&pools[i]);
	}
	while ((i = next_step(pools, npools, gains, room, surge)) >= 0)
	{
		room -= cost(&pools[i], surge);
		pools[i].size++;
		surge = Max(surge, (int64) pools[i].surge * pools[i].size);
		gains[i] = gain(&pools[i]);
	}
	pfree(gains);
}
