/*
 * parts.c
 *		Which parts of the stretches each replication of a simulation replays.
 *
 * What would be more than the budget of arrivals is replayed in part: of every so-and-so-many
 * stretches one, another one in each replication, after a run-up that does not count. Of a
 * stretch that is too much it is a part, here and there in it, as queues grow and shrink within
 * one; that weighs as much as the stretch. Else all of it, one stretch after the other, after
 * one run-up.
 */
#include "postgres.h"

#include <math.h>

#include "planning/callers.h"
#include "planning/parts.h"

#define RUN_UP		30.0		/* s */
#define LEAST_PARTS	8			/* a replication replays so many, at least */

/* Arrivals of one part, with its run-up. */
double
pm_parts_most(const PmSimulation *what)
{
	return (double) what->budget / LEAST_PARTS;
}

/* Of one stretch alone, so many seconds count, after half as many at most. */
static double
part_of(const PmStretch *stretch, double budget)
{
	double		most = stretch->rate > 0 ? budget / (1.5 * LEAST_PARTS) / stretch->rate : INFINITY;

	return Min(stretch->seconds, most);
}

static double
run_up_of(double seconds)
{
	return Min(RUN_UP, seconds / 2);
}

/* 0 to 1, each time far from the times before: multiples of the golden ratio (H. Weyl). */
static double
somewhere(int64 turn)
{
	double		multiple = turn * 0.6180339887498949;

	return multiple - floor(multiple);
}

/* Callers may ask more often than it was, and each part begins with all of them. */
static double
budget_of(const PmSimulation *what)
{
	double		most = 1;

	for (int i = 0; i < what->nshapes; i++)
	{
		if (what->shapes[i].callers != NULL)
			most = Max(most, pm_callers_most(what->shapes[i].callers, what));
	}
	return Max(what->budget / most, 1);
}

static int
most_callers(const PmSimulation *what)
{
	int			most = 0;

	for (int i = 0; i < what->nshapes; i++)
		most = Max(most, what->shapes[i].callers == NULL ? 0 : what->shapes[i].callers->n);
	return most;
}

void
pm_parts_init(PmParts *parts, const PmSimulation *what)
{
	double		arrivals = 0;
	double		in_parts = 0;
	int			callers = most_callers(what);

	memset(parts, 0, sizeof(PmParts));
	parts->budget = budget_of(what);
	for (int i = 0; i < what->nstretches; i++)
	{
		const PmStretch *stretch = &what->stretches[i];
		double		seconds = part_of(stretch, parts->budget);

		parts->seconds += stretch->seconds;
		arrivals += stretch->seconds * stretch->rate;
		in_parts += (seconds + run_up_of(seconds)) * stretch->rate + callers;
	}
	parts->run_up = Min(RUN_UP, parts->seconds);
	if (arrivals > parts->budget)
		parts->step = (int) Min(Max(ceil(in_parts / parts->budget), 1), (what->nstretches + LEAST_PARTS - 1) / LEAST_PARTS);
}

/* The part n (from 0) of this replication; false: it has no more. */
bool
pm_parts_next(const PmParts *parts, const PmSimulation *what, int replication, int n, PmPart *part)
{
	int64		i;

	if (parts->step == 0)
	{
		*part = (PmPart)
		{
			.last = what->nstretches - 1,.run_up = parts->run_up,.seconds = parts->seconds,.weight = 1
		};
		return n == 0;
	}
	i = (int64) replication * parts->step / what->replications + (int64) n * parts->step;
	if (i >= what->nstretches)
		return false;
	part->first = part->last = (int) i;
	part->seconds = part_of(&what->stretches[i], parts->budget);
	part->weight = what->stretches[i].seconds / part->seconds;
	part->into = (what->stretches[i].seconds - part->seconds) * somewhere((int64) n * what->replications + replication + 1);
	part->run_up = run_up_of(part->seconds);
	return true;
}
