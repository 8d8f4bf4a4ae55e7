/*
 * uneven.h
 *		Processes of a pool that do not have alike many checkouts. Takes memory; pure else.
 */
#ifndef PM_UNEVEN_H
#define PM_UNEVEN_H

#include "planning/durations.h"

/* Of the processes that report, in order. */
typedef struct PmRates
{
	int			n;				/* 0: they are alike */
	double	   *all;
} PmRates;

extern void pm_rates_init(PmRates *rates, double *checkouts, double *times, int n, int most, double dispersion);
extern PmChoice *pm_shares(const PmRates *rates, int processes);
extern double *pm_shares_each(const PmChoice *choice, int processes);

#endif							/* PM_UNEVEN_H */
