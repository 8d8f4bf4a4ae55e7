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
#define MOST_COVER		2.0		/* more than there are is no report */
#define MOST_OUT		1.5		/* of the connections; likewise */
#define MOST_CHECKOUTS	100		/* for each transaction; likewise */
#define SOME_MINUTES	30		/* fewer stand for no more than ten times as
								 * many transactions as they have */
#define MOSTLY			0.8		/* of the time at the ceiling, seen as such */

/* Of minutes; times in us, in sum. */
typedef struct Sums
{
	double		transactions;
	double		busy;
	double		connections;
	double		timed_checkouts;
	double		checked_out;
	double		reported_open;
} Sums;

static void
add_minute(Sums *sums, const PmBucket *bucket)
{
	sums->transactions += bucket->transactions;
	sums->busy += bucket->busy;
	sums->connections += bucket->connections;
	sums->timed_checkouts += bucket->timed_checkouts;
	sums->checked_out += bucket->checked_out;
	sums->reported_open += bucket->reported_open;
}

/*
 * From the first minute that has something of a report to the last; nothing, if these are too few
 * to stand for all: a single report, of whoever shares the pool, is not what a day was like.
 */
static Sums
reported(const PmRingCopy *minutes)
{
	Sums		nothing = {0};
	Sums		sums = {0};
	Sums		all = {0};
	int			first = 0;
	int			last = minutes->count - 1;

	while (first <= last && minutes->buckets[first].reported_open <= 0)
		first++;
	while (last >= first && minutes->buckets[last].reported_open <= 0)
		last--;
	for (int i = first; i <= last; i++)
		add_minute(&sums, &minutes->buckets[i]);
	for (int i = 0; i < minutes->count; i++)
		add_minute(&all, &minutes->buckets[i]);
	return last - first + 1 >= SOME_MINUTES || sums.transactions >= 0.1 * all.transactions ? sums : nothing;
}

/*
 * Could it be? Nobody has more connections than there are. Some may come out, as how many are open
 * clients say when they report, at the end of a checkout, when there are most.
 */
static bool
is_possible(const Sums *sums)
{
	return sums->reported_open <= MOST_COVER * sums->connections &&
		sums->checked_out <= MOST_OUT * sums->connections &&
		sums->timed_checkouts <= MOST_CHECKOUTS * sums->transactions;
}

/* Cover is 1 at most, see above. */
void
pm_use_take(PmUse *use, const PmRingCopy *minutes)
{
	Sums		sums = reported(minutes);
	double		cover = sums.connections > 0 ? Min(sums.reported_open / sums.connections, 1) : 0;

	*use = (PmUse)
	{
		.per_transaction = 1,.in_transaction = 1
	};
	if (sums.timed_checkouts < SOME_CHECKOUTS || sums.transactions == 0 || sums.checked_out <= 0 ||
		cover < SOME_COVER || !is_possible(&sums) || sums.checked_out < SOME_BUSY * cover * sums.busy)
		return;
	use->known = true;
	use->per_transaction = sums.timed_checkouts / cover / sums.transactions;
	use->mean = sums.checked_out / 1000000.0 / sums.timed_checkouts;
	use->in_transaction = Min(sums.busy * cover / sums.checked_out, 1);
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
 * The share of time with all connections checked out, by that with all of them in a transaction
 * (seen, or PM_NOT_MEASURED), if it is about the same: each that is out is in one by chance.
 */
double
pm_use_exhausted(const PmUse *use, double seen, int ceiling)
{
	return pow(use->in_transaction, Max(ceiling, 0)) < MOSTLY ? PM_NOT_MEASURED : seen;
}
