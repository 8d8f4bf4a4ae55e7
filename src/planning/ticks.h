/*
 * ticks.h
 *		What the worker would see of a simulated pool: how unevenly holds begin. Pure.
 */
#ifndef PM_TICKS_H
#define PM_TICKS_H

#include "planning/simulation.h"

typedef struct PmTicks
{
	const PmSimulation *what;
	PmTotals   *totals;			/* get what comes of it */
	double		end;			/* of the tick */
	int			began;			/* in it */
	int			stretch;
	double		stretch_end;

	/* of the stretch */
	int			n;
	double		sum;
	double		squares;
} PmTicks;

extern void pm_ticks_begin(PmTicks *ticks, int first, double from, double seconds);
extern void pm_ticks_go_on(PmTicks *ticks, double at);

/* A hold begins, at a moment that pm_ticks_go_on() has come to. */
static inline void
pm_ticks_count(PmTicks *ticks)
{
	ticks->began++;
}

#endif							/* PM_TICKS_H */
