/*
 * ticks.c
 *		What the worker would see of a simulated pool: how unevenly holds begin.
 *
 * At its ceiling a pool lets checkouts through as evenly as connections are given back. So the
 * dispersion that was measured is not that of the bursts, and is to be compared with what the
 * same measurement makes of a simulated pool: ticks of the same length, and a mean for each
 * stretch, as in history/arrivals.c.
 */
#include "postgres.h"

#include <math.h>

#include "planning/ticks.h"

static void
begin_stretch(PmTicks *ticks, double at, double seconds)
{
	ticks->stretch_end = at + seconds;
	ticks->end = at + ticks->what->tick;
	ticks->began = ticks->n = 0;
	ticks->sum = ticks->squares = 0;
}

/* From so many seconds on, before which nothing counts, and for so many in the first stretch. */
void
pm_ticks_begin(PmTicks *ticks, int first, double from, double seconds)
{
	ticks->stretch = first;
	begin_stretch(ticks, from, seconds);
}

static void
end_tick(PmTicks *ticks)
{
	ticks->n++;
	ticks->sum += ticks->began;
	ticks->squares += (double) ticks->began * ticks->began;
	ticks->began = 0;
	ticks->end += ticks->what->tick;
}

static void
end_stretch(PmTicks *ticks)
{
	double		mean = ticks->n > 0 ? ticks->sum / ticks->n : 0;

	if (ticks->n >= 2)
	{
		ticks->totals->excess += ticks->totals->weight * (ticks->squares - mean * ticks->sum);
		ticks->totals->expected += ticks->totals->weight * mean * (ticks->n - 1);
	}
	if (++ticks->stretch < ticks->what->nstretches)
		begin_stretch(ticks, ticks->stretch_end, ticks->what->stretches[ticks->stretch].seconds);
	else
		ticks->stretch_end = ticks->end = INFINITY;
}

/* To this moment. What began before the first tick is dropped, as is a tick that is not whole. */
void
pm_ticks_go_on(PmTicks *ticks, double at)
{
	while (at >= Min(ticks->end, ticks->stretch_end))
	{
		if (ticks->end <= ticks->stretch_end)
			end_tick(ticks);
		else
			end_stretch(ticks);
	}
}
