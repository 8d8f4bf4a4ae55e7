/*
 * uneven.c
 *		Processes of a pool that do not have alike many checkouts.
 */
#include "postgres.h"

#include <math.h>

#include "planning/uneven.h"

static double
rate_of(const PmReported *process)
{
	return process->checkouts / process->time;
}

/* For qsort. */
static int
compare_rates(const void *a, const void *b)
{
	double		difference = rate_of(a) - rate_of(b);

	return (difference > 0) - (difference < 0);
}

/*
 * Do so many checkouts differ by more than chance from what is expected, all of them
 * being alike? Pearson's chi square is their number less 1 then, on average; bursts make it so
 * many times as much as the dispersion is.
 */
static bool
are_uneven(const PmReported *reported, int n, double dispersion)
{
	double		all = 0;
	double		time = 0;
	double		square = 0;

	for (int i = 0; i < n; i++)
	{
		all += reported[i].checkouts;
		time += reported[i].time;
	}
	for (int i = 0; i < n && all > 0; i++)
	{
		double		expected = all * reported[i].time / time;

		square += (reported[i].checkouts - expected) * (reported[i].checkouts - expected) / expected;
	}
	return square > Max(dispersion, 1) * (n - 1 + 3 * sqrt(2.0 * (n - 1)));
}

/* Leaves the most that had most checkouts; how many these are. */
static int
keep_busiest(PmReported *reported, int n, int most)
{
	for (; n > most; n--)
	{
		int			least = 0;

		for (int i = 1; i < n; i++)
		{
			if (reported[i].checkouts < reported[least].checkouts)
				least = i;
		}
		reported[least] = reported[n - 1];
	}
	return n;
}

/*
 * Of more than most processes, as where one has just taken another one's place, or a job has the
 * pool's name, those with fewest checkouts are left out. The array becomes part of the answer, in
 * another order.
 */
void
pm_rates_init(PmRates *rates, PmReported *reported, int n, int most, double dispersion)
{
	memset(rates, 0, sizeof(PmRates));
	n = keep_busiest(reported, n, most);
	if (n <= 1 || !are_uneven(reported, n, dispersion))
		return;
	qsort(reported, n, sizeof(PmReported), compare_rates);
	rates->n = n;
	rates->all = reported;
}

/* Of that one, of so many processes: at its place among those that report, of which there are some. */
static const PmReported *
at_place(const PmRates *rates, int process, int processes)
{
	return &rates->all[(int) ((process + 0.5) * rates->n / processes)];
}

/* As unevenly on so many processes. */
PmChoice *
pm_shares(const PmRates *rates, int processes)
{
	PmChoice   *shares = palloc0(sizeof(PmChoice));
	double	   *weights = palloc(sizeof(double) * processes);

	for (int i = 0; i < processes && rates->n > 0; i++)
		weights[i] = rate_of(at_place(rates, i, processes));
	if (rates->n > 0 && weights[processes - 1] > 0)
		pm_choice_init(shares, weights, processes);
	return shares;
}

/* s that a checkout of each process waited; NULL: they are alike. In the current context. */
double *
pm_waits_each(const PmRates *rates, int processes)
{
	double	   *waits;

	if (rates->n == 0)
		return NULL;
	waits = palloc(sizeof(double) * processes);
	for (int i = 0; i < processes; i++)
		waits[i] = at_place(rates, i, processes)->wait;
	return waits;
}

/* Of each process, of all checkouts; alike, if there is no choice. In the current context. */
double *
pm_shares_each(const PmChoice *choice, int processes)
{
	double	   *shares = palloc0(sizeof(double) * processes);

	for (int i = 0; i < processes; i++)
	{
		if (choice->n == 0)
			shares[i] = 1.0 / processes;
		else
		{
			shares[i] += choice->keep[i] / choice->n;
			shares[choice->alias[i]] += (1 - choice->keep[i]) / choice->n;
		}
	}
	return shares;
}
