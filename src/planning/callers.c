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
 * How many checkouts there were in a stretch is known, how long a caller thinks is not, but follows
 * from how many they are: from one question of a caller to his next it is n / rate (J. Little's
 * law), which is a wait, a hold and a thought. The wait of each stretch is as the formula for
 * exponential holds has it, all of them stretched to the mean that was measured. Thoughts are
 * exponential, on which waits hardly depend.
 */
#include "postgres.h"

#include <math.h>

#include "planning/callers.h"
#include "planning/uneven.h"

#define POINTS		64			/* of a table of thoughts */
#define SHORTEST	0.02		/* of a hold: the least of a thought. Who
								 * gives up at once is not to ask without end */
#define LONGEST		10000.0
#define FACTOR		4.0			/* of holds that are all alike it is 2 */

/* ---- where they are ---- */

/*
 * Of all callers, in each process, but for their sum: as its share of the checkouts, and as long as
 * one takes there from one question to the next, of which the wait is a part (Little's law).
 */
static double *
weights_of(const PmCallers *callers, const PmSimulation *what, double *sum)
{
	double	   *weights = pm_shares_each(what->shares, what->processes);
	double		mean = 0;

	for (int i = 0; i < what->processes && what->waits != NULL; i++)
		mean += weights[i] * what->waits[i];
	*sum = 0;
	for (int i = 0; i < what->processes; i++)
	{
		if (what->waits != NULL && callers->turn > 0)
			weights[i] *= Max(1 + (what->waits[i] - mean) / callers->turn, 0);
		*sum += weights[i];
	}
	return weights;
}

/* In each process; all of them are n. In the current memory context. */
int *
pm_callers_each(const PmCallers *callers, const PmSimulation *what)
{
	int		   *each = palloc(sizeof(int) * what->processes);
	double		sum;
	double	   *weights = weights_of(callers, what, &sum);
	double		upto = 0;
	int			given = 0;

	for (int i = 0; i < what->processes; i++)
	{
		upto += weights[i];
		each[i] = (int) rint(callers->n * Min(upto / sum, 1)) - given;
		given += each[i];
	}
	pfree(weights);
	return each;
}

/* ---- how long they think ---- */

/* Checkouts a second, on average. */
double
pm_rate_of(const PmSimulation *what)
{
	double		checkouts = 0;
	double		seconds = 0;

	for (int i = 0; i < what->nstretches; i++)
	{
		checkouts += what->stretches[i].rate * what->stretches[i].seconds;
		seconds += what->stretches[i].seconds;
	}
	return seconds > 0 ? checkouts / seconds : 0;
}

/* Holds that begin in the time of one, of m callers with so many connections; r: hold by thought. */
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
	double		turn[POINTS];	/* s from one question to the next, with that;
								 * of all processes, on average */
} ThoughtTable;

static void
make_table(ThoughtTable *table, const PmSimulation *then, const int *each, int n)
{
	double		hold = then->holds->mean;
	int			connections = then->pool_size + then->max_overflow;

	for (int i = 0; i < POINTS; i++)
	{
		double		relative = SHORTEST * pow(LONGEST / SHORTEST, (double) i / (POINTS - 1));
		double		all = 0;
		double		one = 0;

		for (int j = 0; j < then->processes; j++)
		{
			if (j == 0 || each[j] != each[j - 1])
				one = throughput(each[j], connections, 1 / relative);
			all += one;
		}
		table->thought[i] = relative * hold;
		table->turn[i] = n * hold / all;
	}
}

/* With which a turn takes so long; 0: it does not, not even without any. Linear, as it is where nobody waits. */
static double
thought_for(const ThoughtTable *table, double turn)
{
	int			low = 0;
	int			high = POINTS - 1;

	if (turn <= table->turn[0])
		return 0;
	if (turn >= table->turn[high])
		return table->thought[high] + turn - table->turn[high];
	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (table->turn[middle] <= turn)
			low = middle;
		else
			high = middle;
	}
	return table->thought[low] + (table->thought[high] - table->thought[low]) *
		(turn - table->turn[low]) / (table->turn[high] - table->turn[low]);
}

/* In each stretch, that of a checkout by the formula; returns their mean. */
static double
waits_of(const PmSimulation *then, int n, PmTurn turn, const ThoughtTable *table, double *waits)
{
	double		sum = 0;
	double		checkouts = 0;

	for (int i = 0; i < then->nstretches; i++)
	{
		const PmStretch *stretch = &then->stretches[i];

		waits[i] = 0;
		if (stretch->rate > 0)
		{
			double		whole = n / stretch->rate;

			waits[i] = Max(whole - turn.hold - thought_for(table, whole), 0);
		}
		sum += waits[i] * stretch->rate * stretch->seconds;
		checkouts += stretch->rate * stretch->seconds;
	}
	return checkouts > 0 ? sum / checkouts : 0;
}

/* times: as long as by the formula. What nobody can have thought, by chance of a minute, is SHORTEST. */
static void
set_thoughts(PmCallers *callers, const PmSimulation *then, PmTurn turn, const double *waits, double times)
{
	double		least = SHORTEST * then->holds->mean;

	for (int i = 0; i < then->nstretches; i++)
	{
		double		rate = then->stretches[i].rate;

		callers->thoughts[i] = rate > 0 ? Max(callers->n / rate - turn.hold - waits[i] * times, least) : INFINITY;
	}
}

/*
 * n callers, who had the checkouts of then, of which there are some, with its sizes, which are
 * bounded. Waits that are longer than by the formula by more than FACTOR are none of so many
 * callers: that is left to who compares. (Shorter ones may be of those that give up.) Allocates
 * in the current memory context.
 */
PmCallers *
pm_callers_of(const PmSimulation *then, int n, PmTurn turn)
{
	PmCallers  *callers = palloc0(sizeof(PmCallers));
	ThoughtTable *table = palloc0(sizeof(ThoughtTable));
	double	   *waits = palloc(sizeof(double) * then->nstretches);
	int		   *each;
	double		mean;

	callers->n = n;
	callers->thoughts = palloc(sizeof(double) * then->nstretches);
	callers->turn = n / pm_rate_of(then);
	each = pm_callers_each(callers, then);
	make_table(table, then, each, n);
	mean = waits_of(then, n, turn, table, waits);
	set_thoughts(callers, then, turn, waits, mean > 0 ? Min(turn.wait / mean, FACTOR) : 1);
	pfree(each);
	pfree(waits);
	pfree(table);
	return callers;
}

/*
 * As many asks in a second as can be, if nobody waits for longer than until he gives up, by those
 * that there were; no less than 1.
 */
double
pm_callers_most(const PmCallers *callers, const PmSimulation *what)
{
	double		least = Min(what->holds->mean, what->pool_timeout);
	double		most = 0;
	double		checkouts = 0;

	for (int i = 0; i < what->nstretches; i++)
	{
		const PmStretch *stretch = &what->stretches[i];

		most += stretch->seconds * callers->n / (least + callers->thoughts[i]);
		checkouts += stretch->seconds * stretch->rate;
	}
	return checkouts > 0 ? Max(most / checkouts, 1) : 1;
}

/*
 * So many times as many, if none of them has to wait: where that is no whole number, they think
 * longer for it, and where it is more than most, shorter. Allocates likewise.
 */
PmCallers *
pm_callers_times(const PmCallers *callers, double load, int most, const PmSimulation *then)
{
	PmCallers  *more = palloc(sizeof(PmCallers));
	double		hold = then->holds->mean;
	double		times;

	*more = *callers;
	more->n = (int) Min(Max(ceil(callers->n * load - 1e-9), 1), most);
	times = more->n / (callers->n * load);
	more->thoughts = palloc(sizeof(double) * then->nstretches);
	for (int i = 0; i < then->nstretches; i++)
		more->thoughts[i] = Max(times * (hold + callers->thoughts[i]) - hold, SHORTEST * hold);
	return more;
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
 * How many callers of a process wait at the begin, if they have done so for long with so many
 * connections, and how many think; the others have one each. Nobody waits behind more than are
 * served until he gives up.
 */
void
pm_asking_present(PmAsking *asking, int callers, int connections, int *waiting, int *thinking)
{
	double		thought = asking->callers->thoughts[asking->stretch];
	double		hold = asking->what->holds->mean;
	double		think = callers;
	int			most = (int) Min(asking->what->pool_timeout * connections / hold, callers);

	if (!isinf(thought))
		think = throughput(callers, connections, hold / thought) * thought / hold;
	*thinking = (int) Min(think + pg_prng_double(asking->random), callers);
	*waiting = Max(callers - *thinking - connections, 0);
	*thinking += Max(*waiting - most, 0);
	*waiting = Min(*waiting, most);
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
		left = Max(left - Max(end - at, 0) / thought, 0);
		at = Max(at, end);
		if (i < asking->last_stretch)
			end += stretches[i + 1].seconds;
	}
	return INFINITY;
}
