/*
 * simulate_use.c
 *		What clients do with their connections beside what the server sees of it.
 *
 * The server sees transactions. A client may do several of them with a connection that it has
 * checked out, and has it before, between and after these, too: for a moment, or for as long
 * as a request takes. Only the client can tell (checked_out_seconds of client_report()).
 * There may be processes that do not: those that do stand for all, by the share that their
 * connections are of the time that connections were open, if it is half of it at least.
 */
#include "postgres.h"

#include <math.h>

#include "history/arrivals.h"
#include "planning/likely.h"
#include "views/simulate_use.h"

#define SOME_CHECKOUTS	100		/* fewer say nothing of a pool */
#define SOME_COVER		0.5		/* of its connections, likewise */
#define SOME_BUSY		0.9		/* of the time in transactions: who reports
								 * less for all does not count the same */
#define SOME_AT_CEILING	0.3		/* of the time at it, seen as such */

/* Of the minutes from the first to the last that has something of a report. */
static PmBucket
reported(const PmRingCopy *minutes)
{
	PmBucket	sum = {0};
	PmBucket	silent = {0};

	for (int i = 0; i < minutes->count; i++)
	{
		const PmBucket *bucket = &minutes->buckets[i];

		if (bucket->reported_open <= 0)
		{
			if (sum.reported_open > 0)
				pm_bucket_add(&silent, bucket);
			continue;
		}
		pm_bucket_add(&sum, &silent);
		pm_bucket_add(&sum, bucket);
		memset(&silent, 0, sizeof(silent));
	}
	return sum;
}

/* all_know: does each process say it that reports? */
void
pm_use_take(PmUse *use, const PmRingCopy *minutes, bool all_know)
{
	PmBucket	sum = reported(minutes);
	double		cover = sum.connections > 0 ? Min(sum.reported_open / sum.connections, 1) : 0;

	*use = (PmUse)
	{
		.per_transaction = 1,.in_transaction = 1
	};
	if (!all_know || sum.checkouts < SOME_CHECKOUTS || sum.transactions == 0 || cover < SOME_COVER ||
		sum.checked_out <= 0 || sum.checked_out < SOME_BUSY * cover * sum.busy)
		return;
	use->known = true;
	use->per_transaction = sum.checkouts / cover / sum.transactions;
	use->mean = sum.checked_out / 1000000.0 / sum.checkouts;
	use->in_transaction = Min(sum.busy * cover / sum.checked_out, 1);
}

/*
 * Transactions of the same checkout come together, and are taken for ones in the same tick: of
 * n each, their dispersion is n times that of the checkouts. Where there are checkouts without
 * any, what is above 1 gets less by as many as are left out.
 */
double
pm_use_dispersion(const PmUse *use, double of_transactions)
{
	double		times = use->per_transaction;

	if (of_transactions == PM_DISPERSION_UNKNOWN)
		return of_transactions;
	if (times >= 1)
		return Max(1 + times * (of_transactions - 1), 0);
	return Max(times * of_transactions, Min(of_transactions, 1));
}

/*
 * How long all connections were checked out at once, of how long all were in a transaction
 * (seen, a share of time): each of those that are out is in one by chance. PM_NOT_MEASURED, as
 * seen may be: hardly ever are all of them.
 */
double
pm_use_exhausted(const PmUse *use, double seen, int ceiling)
{
	double		all = pow(use->in_transaction, Max(ceiling, 0));

	if (seen < 0 || all < SOME_AT_CEILING)
		return PM_NOT_MEASURED;
	return Min(seen / all, 1);
}
