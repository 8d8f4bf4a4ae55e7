/*
 * brief.h
 *		A short simulation of a pool of which Erlang's formula is known to be wrong.
 */
#ifndef PM_BRIEF_H
#define PM_BRIEF_H

#include "views/simulate_past.h"

#define PM_BRIEF_MOST	8		/* pools at once, whoever asks; advice.sql has
								 * it too */

/* Begins as zeros. */
typedef struct PmBrief
{
	const PmPool *pool;
	PmReplay	replay;
	PmSimulation declared;		/* with the shape of bursts that fits */
	bool		is_off;			/* the simulation is wrong, too */
} PmBrief;

/* What sizes come to. */
typedef struct PmBriefAnswer
{
	double		queue;			/* checkouts that wait, on average */
	double		waiting;		/* share of the checkouts: waits, and gets one */
	double		timeouts;		/* share of the checkouts */
} PmBriefAnswer;

extern bool pm_brief_begin(PmBrief *brief, const PmPool *pool, int account, PmSpan span);
extern PmBriefAnswer pm_brief_ask(const PmBrief *brief, int pool_size, int max_overflow);
extern double *pm_brief_curve(const PmBrief *brief, int base, int least, int most, double worth, int *n);

#endif							/* PM_BRIEF_H */
