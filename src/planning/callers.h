/*
 * callers.h
 *		Callers of a simulated pool that wait for their answer before they ask again. Takes
 *		memory; pure else.
 */
#ifndef PM_CALLERS_H
#define PM_CALLERS_H

#include "planning/simulation.h"

/* What of a turn, from one question to the next, was measured: s, of all that ask, on average. */
typedef struct PmTurn
{
	double		hold;
	double		wait;			/* of those that gave up, too */
} PmTurn;

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

extern double pm_rate_of(const PmSimulation *what);
extern PmCallers *pm_callers_of(const PmSimulation *then, int n, PmTurn turn);
extern double pm_callers_most(const PmCallers *callers, const PmSimulation *what);
extern PmCallers *pm_callers_times(const PmCallers *callers, double load, int most, const PmSimulation *then);
extern int *pm_callers_each(const PmCallers *callers, const PmSimulation *what);
extern void pm_asking_begin(PmAsking *asking, int first, int last, double run_up);
extern void pm_asking_present(PmAsking *asking, int callers, int connections, int *waiting, int *thinking);
extern double pm_asking_next(PmAsking *asking, double now);

#endif							/* PM_CALLERS_H */
