/*
 * flow.h
 *		Connects of the last seconds.
 */
#ifndef PM_FLOW_H
#define PM_FLOW_H

#define PM_FLOW_WINDOW	10		/* s */

typedef struct PmFlow
{
	uint64		connects;		/* at the last tick */
	uint32		seconds[PM_FLOW_WINDOW];	/* connects in each, by second %
											 * PM_FLOW_WINDOW */
	uint32		sum;			/* of these */
} PmFlow;

/* last and now: the monotonic seconds of the last tick and of this one. */
extern void pm_flow_slide(PmFlow *flow, int64 last, int64 now);
extern uint64 pm_flow_add(PmFlow *flow, uint64 connects, int64 last, int64 now);
extern int	pm_flow_span(const PmFlow *flow, int64 now);

#endif							/* PM_FLOW_H */
