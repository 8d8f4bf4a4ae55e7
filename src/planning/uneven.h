/*
 * uneven.h
 *		Processes of a pool that do not have alike many checkouts. Takes memory; pure else.
 */
#ifndef PM_UNEVEN_H
#define PM_UNEVEN_H

#include "planning/durations.h"

/* What one process has reported. */
typedef struct PmReported
{
	double		checkouts;
	double		time;			/* in which these came; any unit */
	double		wait;			/* s, of each of them, also who gave up */
} PmReported;

/* Of the processes that report, the one with fewest checkouts in its time first. */
typedef struct PmRates
{
	int			n;				/* 0: they are alike */
	const PmReported *all;
} PmRates;

extern void pm_rates_init(PmRates *rates, PmReported *reported, int n, int most, double dispersion);
extern PmChoice *pm_shares(const PmRates *rates, int processes);
extern double *pm_shares_each(const PmChoice *choice, int processes);
extern double *pm_waits_each(const PmRates *rates, int processes);

#endif							/* PM_UNEVEN_H */
