/*
 * backlog.h
 *		Who waits already where a part of a simulation begins. Takes memory; pure else.
 */
#ifndef PM_BACKLOG_H
#define PM_BACKLOG_H

#include "planning/parts.h"

/* Processes that get alike many checkouts. */
typedef struct PmBehind
{
	int			first;
	int			end;
	double		load;			/* of each at its ceiling, by a checkout a
								 * second of all */
	double		wait;			/* s, of who comes now */
	double		before;			/* the same, before the run-up */
} PmBehind;

typedef struct PmBacklog
{
	const PmSimulation *what;
	int			n;				/* 0: without a bound nobody waits */
	PmBehind   *all;

	/* now */
	int			stretch;
	double		into;
} PmBacklog;

extern void pm_backlog_init(PmBacklog *backlog, const PmSimulation *what, int ceiling);
extern void pm_backlog_begin(PmBacklog *backlog, double run_up);
extern void pm_backlog_before(PmBacklog *backlog, PmPart *part);
extern void pm_backlog_free(PmBacklog *backlog);

#endif							/* PM_BACKLOG_H */
