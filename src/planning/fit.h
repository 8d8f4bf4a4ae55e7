/*
 * fit.h
 *		Sizes for several pools at once, within one budget. Pure, as sizing.h.
 */
#ifndef PM_FIT_H
#define PM_FIT_H

typedef struct PmFitPool
{
	/* given */
	int			processes;		/* a step is one connection of each */
	int			surge;			/* so many more while a deployment overlaps */
	double		load;			/* of each process, in connections */
	int			least;			/* size of each process, at least */

	/* the answer */
	int			size;			/* of each process */
} PmFitPool;

extern void pm_fit(PmFitPool *pools, int npools, int64 budget, int64 surge);

#endif							/* PM_FIT_H */
