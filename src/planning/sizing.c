/*
 * sizing.c
 *		Capacity and queueing mathematics.
 *
 * A pool is a queue with as many servers as it has connections (M/M/c): checkouts
 * come at random, at a rate that does not depend on how many wait, and hold their
 * connection for times that are distributed exponentially. The offered load is
 * rate * mean hold time, in connections (Little's law; "erlangs"). Formulas:
 * A. K. Erlang (1917); any book on queueing, for instance Gross, Shortle,
 * Thompson and Harris, "Fundamentals of Queueing Theory", chapter 3.
 *
 * Nothing here uses factorials or powers, so that thousands of connections are no
 * trouble. Arguments are checked by the callers; a load that is not below the number
 * of connections is an answer (wait probability 1, waits without end), never NaN.
 */
#include "postgres.h"

#include <math.h>

#include "planning/sizing.h"

/*
 * Erlang B: the share of calls lost when nobody waits. B(0) = 1,
 * B(k) = a B(k-1) / (k + a B(k-1)): every value lies between 0 and 1.
 */
double
pm_erlang_b(int connections, double load)
{
	double		b = 1;

	if (isinf(load))
		return 1;
	for (int k = 1; k <= connections && b > 0; k++)
		b = load * b / (k + load * b);
	return b;
}

/* Erlang C from Erlang B, for the same arguments. */
static double
wait_from_loss(int connections, double load, double b)
{
	if (load >= connections)
		return 1;
	return Min(b / (1 - load / connections * (1 - b)), 1);
}

/*
 * Erlang C: the probability that a checkout has to wait, which is also the share
 * of time with all connections busy.
 */
double
pm_erlang_c(int connections, double load)
{
	if (load >= connections)
		return 1;
	return wait_from_loss(connections, load, pm_erlang_b(connections, load));
}

/* The load with which no more than this share of the checkouts has to wait: pm_erlang_c() the other way round. */
double
pm_load_carried(int connections, double waiting)
{
	double		low = 0;
	double		high = connections;

	for (int i = 0; i < 60; i++)
	{
		double		middle = (low + high) / 2;

		if (pm_erlang_c(connections, middle) > waiting)
			high = middle;
		else
			low = middle;
	}
	return low;
}

/* Mean wait of all checkouts, in the unit of hold; infinite when unstable. */
double
pm_mean_wait(int connections, double load, double hold)
{
	if (load >= connections)
		return INFINITY;
	return pm_erlang_c(connections, load) * hold / (connections - load);
}

/* How many checkouts wait, on average; infinite when unstable. */
double
pm_mean_queue(int connections, double load)
{
	if (load >= connections)
		return INFINITY;
	return pm_erlang_c(connections, load) * load / (connections - load);
}

/*
 * The time within which that share of the checkouts has its connection: 0 when so
 * many do not wait at all. Waits of those that wait are exponential with mean
 * hold / (connections - load). Infinite when unstable, or for all of them.
 */
double
pm_wait_quantile(int connections, double load, double hold, double quantile)
{
	double		waits = pm_erlang_c(connections, load);

	if (1 - quantile >= waits)
		return 0;
	if (load >= connections || quantile >= 1)
		return INFINITY;
	return log(waits / (1 - quantile)) * hold / (connections - load);
}

static double
longer_than(int connections, double load, double waits, double hold, double timeout)
{
	if (load >= connections)
		return 1;
	if (timeout <= 0)
		return waits;
	/* nobody waits for what is given back at once */
	return hold <= 0 ? 0 : waits * exp(-(connections - load) * timeout / hold);
}

/* The probability that a checkout waits longer than timeout, in the unit of hold. */
double
pm_timeout_probability(int connections, double load, double hold, double timeout)
{
	return longer_than(connections, load, pm_erlang_c(connections, load), hold, timeout);
}

/*
 * What each process needs so that hardly ever one of them needs more, where all together have no
 * more than that busy in 95 % of the minutes: with what chance gives one of them above its share,
 * the deviations that one of n stays within in 0.95^(1/n) of the cases.
 */
int
pm_needed_each(int busy, int processes)
{
	double		share = (double) busy / processes;
	double		deviations = 1.65 + 0.4 * log(processes);

	return Max((int) ceil(share + deviations * sqrt(share * (1 - 1.0 / processes))), 1);
}

/*
 * The fewest connections with which no more than that share of the checkouts waits
 * longer than timeout; -1 when more than most would be needed.
 */
int
pm_connections_needed(double load, double hold, double timeout, double target, int most)
{
	double		b = 1;

	for (int c = 1; c <= most; c++)
	{
		b = load * b / (c + load * b);
		if (load < c && longer_than(c, load, wait_from_loss(c, load, b), hold, timeout) <= target)
			return c;
	}
	return -1;
}

/* What a pool of many processes comes to; -1: unbounded. */
void
pm_plan(int64 processes, int64 surge_processes, int pool_size, int max_overflow, double headroom_percent, PmPlan *plan)
{
	int64		each = (int64) pool_size + max_overflow;
	int64		surge = surge_processes * each;

	plan->base = processes * pool_size;
	plan->ceiling = -1;
	plan->buffer = -1;
	plan->required = -1;
	if (pool_size == 0 || max_overflow < 0)
		return;
	plan->ceiling = processes * each;
	/* what is a whole number must not become the next one by its last bit */
	plan->buffer = surge + (int64) ceil((plan->ceiling + surge) * headroom_percent / 100 - 1e-9);
	plan->required = plan->ceiling + plan->buffer;
}
