/*
 * callers.h
 *		Callers of a simulated pool that wait for their answer before they ask again. Takes
 *		memory; pure else.
 */
#ifndef PM_CALLERS_H
#define PM_CALLERS_H

#include "planning/simulation.h"

/* When they ask, as a simulation goes on. */
typedef struct PmAsking
{
	const PmSimulation *what;
	const PmCallers *callers;
	pg_prng_state *random;
	int			stretch;		/* of now */
	int			last_stretch;
	double		stretch_end;
} PmAsking;

extern PmCallers *pm_callers_of(const PmSimulation *then, int n, double wait);
extern int *pm_callers_each(const PmCallers *callers, const double *shares, int processes);
extern void pm_asking_begin(PmAsking *asking, int first, int last, double run_up);
extern double pm_asking_next(PmAsking *asking, double now);

#endif							/* PM_CALLERS_H */
