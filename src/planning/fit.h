/*
 * fit.h
 *		Sizes for several pools at once, within one budget. Pure, as sizing.h.
 */
#ifndef PM_FIT_H
#define PM_FIT_H

/* checkouts that wait, on average: what gains less for a process is not worth a connection */
#define PM_FIT_WORTH	0.001

typedef struct PmFitPool
{
	/* given */
	int			processes;		/* a step is one connection of each */
	int			surge;			/* so many more while a deployment overlaps */
	double		load;			/* of each process, in connections */
	int			least;			/* size of each process, at least */
	const double *waiting;		/* checkouts that wait in each process, with
								 * least and each size above it; NULL: by the
								 * load */
	int			nwaiting;		/* above these it is as with the last one */

	/* the answer */
	int			size;			/* of each process */
} PmFitPool;

extern void pm_fit(PmFitPool *pools, int npools, int64 budget, int64 surge);

#endif							/* PM_FIT_H */
