/*
 * agenda.h
 *		What is to come in a simulation, the next first. Takes memory; pure else.
 */
#ifndef PM_AGENDA_H
#define PM_AGENDA_H

#include <math.h>

#define PM_ARRIVAL	(-1)		/* as a process: that is found out then */
#define PM_ARRIVAL_AT(process) (-2 - (process)) /* or is known; the same the
												 * other way round */
#define PM_GIVES_UP(process) (PG_INT32_MIN + (process)) /* who waits first in it
														 * may; and back: */
#define PM_WHO_GIVES_UP(process) ((process) - PG_INT32_MIN)
#define PM_IS_GIVES_UP(process) ((process) < PG_INT32_MIN / 2)

typedef struct PmDue
{
	double		at;
	int			process;		/* gives a connection back, or as above */
} PmDue;

/* A heap. */
typedef struct PmAgenda
{
	PmDue	   *all;
	int			n;
	int			room;
} PmAgenda;

extern void pm_agenda_init(PmAgenda *agenda);
extern void pm_agenda_add(PmAgenda *agenda, double at, int process);
extern PmDue pm_agenda_take(PmAgenda *agenda);
extern void pm_agenda_free(PmAgenda *agenda);

/* The moment of the next; infinity: there is none. */
static inline double
pm_agenda_next(const PmAgenda *agenda)
{
	return agenda->n > 0 ? agenda->all[0].at : INFINITY;
}

#endif							/* PM_AGENDA_H */
