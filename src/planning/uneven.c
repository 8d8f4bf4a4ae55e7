/*
 * uneven.c
 *		Processes of a pool that do not have alike many checkouts.
 */
#include "postgres.h"

#include <math.h>

#include "planning/uneven.h"

/* For qsort. */
static int
compare_rates(const void *a, const void *b)
{
	double		difference = *(const double *) a - *(const double *) b;

	return (difference > 0) - (difference < 0);
}

/*
 * Do so many checkouts differ by more than chance from what is expected, all of them
 * being alike? Pearson's chi square is their number less 1 then, on average; bursts make it so
 * many times as much as the dispersion is.
 */
static bool
are_uneven(const double *checkouts, const double *times, int n, double dispersion)
{
	double		all = 0;
	double		time = 0;
	double		square = 0;

	for (int i = 0; i < n; i++)
	{
		all += checkouts[i];
		time += times[i];
	}
	for (int i = 0; i < n && all > 0; i++)
	{
		double		expected = all * times[i] / time;

		square += (checkouts[i] - expected) * (checkouts[i] - expected) / expected;
	}
	return square > Max(dispersion, 1) * (n - 1 + 3 * sqrt(2.0 * (n - 1)));
}

/* Leaves the most that had most checkouts; how many these are. */
static int
keep_busiest(double *checkouts, double *times, int n, int most)
{
	for (; n > most; n--)
	{
		int			least = 0;

		for (int i = 1; i < n; i++)
		{
			if (checkouts[i] < checkouts[least])
				least = i;
		}
		checkouts[least] = checkouts[n - 1];
		times[least] = times[n - 1];
	}
	return n;
}

/*
 * Each process had so many checkouts in such a time. Of more than most of them, as where one has
 * just taken another one's place, or a job has the pool's name, those with fewest are left out. The
 * order of both arrays changes.
 */
void
pm_rates_init(PmRates *rates, double *checkouts, double *times, int n, int most, double dispersion)
{
	memset(rates, 0, sizeof(PmRates));
	n = keep_busiest(checkouts, times, n, most);
	if (n <= 1 || !are_uneven(checkouts, times, n, dispersion))
		return;
	rates->n = n;
	rates->all = palloc(sizeof(double) * n);
	for (int i = 0; i < n; i++)
		rates->all[i] = checkouts[i] / times[i];
	qsort(rates->all, n, sizeof(double), compare_rates);
}

/* As unevenly on so many processes: of each the rate at its place among those that report. */
PmChoice *
pm_shares(const PmRates *rates, int processes)
{
	PmChoice   *shares = palloc0(sizeof(PmChoice));
	double	   *weights = palloc(sizeof(double) * processes);

	for (int i = 0; i < processes && rates->n > 0; i++)
		weights[i] = rates->all[(int) ((i + 0.5) * rates->n / processes)];
	if (rates->n > 0 && weights[processes - 1] > 0)
		pm_choice_init(shares, weights, processes);
	return shares;
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
