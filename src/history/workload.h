/*
 * workload.h
 *		What a pool did in a span of time, in one sum.
 */
#ifndef PM_WORKLOAD_H
#define PM_WORKLOAD_H

#include "history/read.h"

typedef struct PmWorkload
{
	int			nstretches;		/* that had something */
	uint64		seen;			/* ms */
	double		connections;	/* us */
	double		busy;
	int			max_connections;
	int			max_busy;
	int			p95_busy;		/* in 95 % of the minutes it was not more */
	uint64		transactions;
	uint64		connects;
	uint64		disconnects;
	uint64		retired;
	uint64		refused;
	uint64		overflow;		/* ms */
	uint64		exhausted;
	uint64		over;
} PmWorkload;

extern PmSpan pm_workload_reads(PmSpan span);
extern void pm_workload_of(const PmPast *past, PmSpan span, PmWorkload *work);

#endif							/* PM_WORKLOAD_H */
