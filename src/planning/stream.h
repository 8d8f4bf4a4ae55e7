/*
 * stream.h
 *		The bursts in which checkouts come to a simulated pool. Without memory of its own; pure.
 */
#ifndef PM_STREAM_H
#define PM_STREAM_H

#include "planning/simulation.h"

typedef struct PmStream
{
	const PmSimulation *what;
	PmBurstShape shape;
	pg_prng_state *random;
	double		next;			/* burst; infinity: there is none any more */
	int			stretch;		/* in which that is */
	int			last_stretch;
	double		stretch_end;
} PmStream;

extern void pm_stream_begin(PmStream *stream, int first, int last, double run_up);
extern int	pm_stream_draw(PmStream *stream);
extern void pm_stream_go_on(PmStream *stream);

#endif							/* PM_STREAM_H */
