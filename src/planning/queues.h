/*
 * queues.h
 *		Processes and their pools as queues, at one moment of a simulation. Takes memory.
 */
#ifndef PM_QUEUES_H
#define PM_QUEUES_H

#include "planning/agenda.h"
#include "planning/ticks.h"

#define PM_UNBOUNDED	PG_INT32_MAX	/* as a ceiling */

typedef struct PmQueue PmQueue;

typedef struct PmQueues
{
	const PmSimulation *what;
	PmAgenda   *agenda;			/* gets what is to be given back */
	PmTotals   *totals;			/* get what counts */
	PmTicks		ticks;
	pg_prng_state opening;		/* for set-ups */
	int			ceiling;		/* of each process */
	int			kept;			/* idle, in each */
	bool		asks_again;		/* who gives up: the agenda gets when */

	/* what counts */
	double		from;
	double		until;

	/* now */
	double		now;
	PmQueue    *all;			/* one a process */
	int			busy;
	int			open;
	int			waiting;
	int			full;			/* processes */
} PmQueues;

extern void pm_queues_init(PmQueues *queues, const PmSimulation *what, PmAgenda *agenda, PmTotals *totals);
extern void pm_queues_begin(PmQueues *queues, int first, double from, double until);
extern void pm_queues_lag(PmQueues *queues, int process, double lag);
extern void pm_queues_go_on(PmQueues *queues, double at);
extern void pm_queues_arrive(PmQueues *queues, int process, double hold);
extern void pm_queues_give_back(PmQueues *queues, int process);
extern int	pm_queues_give_up(PmQueues *queues, int process);
extern void pm_queues_free(PmQueues *queues);

#endif							/* PM_QUEUES_H */
