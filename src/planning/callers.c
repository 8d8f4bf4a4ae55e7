/*
 * callers.c
 *		Callers that wait for their answer before they ask again: a finite source.
 *
 * So many threads, each of which checks a connection out, has it, gives it back, and thinks until
 * it asks again, cannot queue without end: who waits does not ask. In a pool that is too small
 * the waits are bounded therefore, and so is the load, which a larger pool would have more of
 * (the machine repair problem: C. Palm, 1947; D. Gross, C. M. Harris, "Fundamentals of Queueing
 * Theory", on finite-source queues).
 *
 * How many checkouts there were in a stretch is known, how long a caller thinks is not, but follows:
 * of n callers, each for a hold, a wait and a thought in turn, it is n / rate - hold - wait
 * (J. Little's law). The wait of each stretch is as the formula for exponential holds has it,
 * all of them stretched to the mean that was measured. Thoughts are exponential, on which waits
 * hardly depend.
 */
#include "postgres.h"

#include <math.h>

#include "planning/callers.h"
#include "planning/uneven.h"

#define POINTS		64			/* of a table of thoughts */
#define SHORTEST	0.001		/* of a hold: the least of a thought, so that
								 * time goes on */
#define LONGEST		10000.0

/* ---- how long they think ---- */

/* Holds that begin in a process's turn of one hold, with m callers, as r = hold / thought. */
static double
throughput(int m, int connections, double r)
{
	double		chance = 1;
	double		all = 1;
	double		present = 0;

	for (int k = 0; k < m; k++)
	{
		chance *= (m - k) * r / Min(k + 1, connections);
		all += chance;
		present += (k + 1) * chance;
		if (chance > 1e200)
		{
			all /= chance;
			present /= chance;
			chance = 1;
		}
	}
	return (m - present / all) * r;
}

typedef struct ThoughtTable
{
	double		thought[POINTS];	/* s, growing */
	double		rate[POINTS];	/* of all processes, with that */
} ThoughtTable;

static void
make_table(ThoughtTable *table, const PmSimulation *then, const int *each)
{
	double		hold = then->holds->mean;
	int			connections = then->pool_size + then->max_overflow;

	for (int i = 0; i < POINTS; i++)
	{
		double		relative = SHORTEST * pow(LONGEST / SHORTEST, (double) i / (POINTS - 1));
		double		rate = 0;

		for (int j = 0; j < then->processes; j++)
		{
			if (j == 0 || each[j] != each[j - 1])
				rate = throughput(each[j], connections, 1 / relative);
			table->rate[i] += rate / hold;
		}
		table->thought[i] = relative * hold;
	}
}

/* With which there are so many checkouts a second; 0: not even without any. */
static double
thought_for(const ThoughtTable *table, double rate)
{
	int			low = 0;
	int			high = POINTS - 1;
	double		part;

	if (rate >= table->rate[0])
		return 0;
	if (rate <= table->rate[high])
		return table->thought[high] * table->rate[high] / rate;
	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (table->rate[middle] >= rate)
			low = middle;
		else
			high = middle;
	}
	part = log(table->rate[low] / rate) / log(table->rate[low] / table->rate[high]);
	return table->thought[low] * pow(table->thought[high] / table->thought[low], part);
}

/* In each stretch, that of a checkout by the formula; returns their mean. */
static double
waits_of(const PmSimulation *then, int n, const ThoughtTable *table, double *waits)
{
	double		sum = 0;
	double		checkouts = 0;

	for (int i = 0; i < then->nstretches; i++)
	{
		const PmStretch *stretch = &then->stretches[i];
		double		turn = stretch->rate > 0 ? n / stretch->rate : 0;

		waits[i] = 0;
		if (stretch->rate > 0)
			waits[i] = Max(turn - then->holds->mean - thought_for(table, stretch->rate), 0);
		sum += waits[i] * stretch->rate * stretch->seconds;
		checkouts += stretch->rate * stretch->seconds;
	}
	return checkouts > 0 ? sum / checkouts : 0;
}

static void
set_thoughts(PmCallers *callers, const PmSimulation *then, const double *waits, double times)
{
	double		hold = then->holds->mean;
	double		most = 0;
	double		checkouts = 0;

	for (int i = 0; i < then->nstretches; i++)
	{
		const PmStretch *stretch = &then->stretches[i];

		callers->thoughts[i] = INFINITY;
		if (stretch->rate <= 0)
			continue;
		callers->thoughts[i] = Max(callers->n / stretch->rate - hold - waits[i] * times, SHORTEST * hold);
		most += stretch->seconds * callers->n / (hold + callers->thoughts[i]);
		checkouts += stretch->seconds * stretch->rate;
	}
	callers->most = checkouts > 0 ? Max(most / checkouts, 1) : 1;
}

/*
 * n callers, who had the checkouts of then, with its sizes, which are bounded; each waited for so
 * many s on average. Allocates in the current memory context.
 */
PmCallers *
pm_callers_of(const PmSimulation *then, int n, double wait)
{
	PmCallers  *callers = palloc0(sizeof(PmCallers));
	ThoughtTable *table = palloc0(sizeof(ThoughtTable));
	double	   *waits = palloc(sizeof(double) * then->nstretches);
	double	   *shares = pm_shares_each(then->shares, then->processes);
	int		   *each;
	double		mean;

	callers->n = n;
	callers->thoughts = palloc(sizeof(double) * then->nstretches);
	each = pm_callers_each(callers, shares, then->processes);
	make_table(table, then, each);
	mean = waits_of(then, n, table, waits);
	set_thoughts(callers, then, waits, mean > 0 ? wait / mean : 0);
	pfree(each);
	pfree(shares);
	pfree(waits);
	pfree(table);
	return callers;
}

/* Of each process, by its share; all of them are n. Allocates likewise. */
int *
pm_callers_each(const PmCallers *callers, const double *shares, int processes)
{
	int		   *each = palloc(sizeof(int) * processes);
	double		upto = 0;
	int			given = 0;

	for (int i = 0; i < processes; i++)
	{
		upto += shares[i];
		each[i] = (int) rint(callers->n * Min(upto, 1)) - given;
		given += each[i];
	}
	return each;
}

/* ---- when they ask ---- */

/* At 0; the first of these stretches is longer by the run-up. */
void
pm_asking_begin(PmAsking *asking, int first, int last, double run_up)
{
	asking->stretch = first;
	asking->last_stretch = last;
	asking->stretch_end = run_up + asking->what->stretches[first].seconds;
}

/*
 * Who begins to think now, which is never before it was, asks next; infinity: not in these
 * stretches. What is left of a thought goes on in the next stretch, at its pace.
 */
double
pm_asking_next(PmAsking *asking, double now)
{
	const PmStretch *stretches = asking->what->stretches;
	double		left = -log(1 - pg_prng_double(asking->random));
	double		at = now;
	double		end;

	while (asking->stretch < asking->last_stretch && now >= asking->stretch_end)
		asking->stretch_end += stretches[++asking->stretch].seconds;
	end = asking->stretch_end;
	for (int i = asking->stretch; i <= asking->last_stretch; i++)
	{
		double		thought = asking->callers->thoughts[i];

		if (at + left * thought <= end)
			return at + left * thought;
		left -= Max(end - at, 0) / thought;
		at = Max(at, end);
		if (i < asking->last_stretch)
			end += stretches[i + 1].seconds;
	}
	return INFINITY;
}
