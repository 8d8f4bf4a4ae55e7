/*
 * holds.c
 *		For how long a checkout has its connection: for its transactions, and for a time besides.
 *
 * Transactions of the same checkout are taken for independent of each other, and the time besides
 * for random (exponential): between one that is always the same, and one that goes with the
 * transactions.
 */
#include "postgres.h"

#include <math.h>

#include "planning/holds.h"

#define MOST_DRAWN	8.0			/* transactions; more are so many longer ones */

/*
 * counts, max: as for pm_durations_init(), of transactions, which take mean on average; a checkout
 * has so many, and so many s besides. Allocates in the current context.
 */
void
pm_holds_init(PmHolds *holds, const uint64 *counts, int64 max, double mean, double transactions, double besides)
{
	holds->mean = transactions * mean + besides;
	holds->besides = besides;
	holds->transactions = Min(transactions, MOST_DRAWN);
	pm_durations_init(&holds->transaction, counts, max, mean * (transactions / holds->transactions));
}

/* There must be some transactions to draw from. */
double
pm_hold(const PmHolds *holds, pg_prng_state *random)
{
	double		whole = floor(holds->transactions);
	double		part = holds->transactions - whole;
	double		hold = 0;

	if (part > 0 && pg_prng_double(random) < part)
		whole++;
	for (int i = 0; i < (int) whole; i++)
		hold += pm_duration(&holds->transaction, random);
	if (holds->besides > 0)
		hold -= log(1 - pg_prng_double(random)) * holds->besides;
	return hold;
}
