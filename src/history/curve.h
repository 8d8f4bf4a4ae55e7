/*
 * curve.h
 *		What a series did in a span of time, as points to be drawn.
 */
#ifndef PM_CURVE_H
#define PM_CURVE_H

#include "history/read.h"

#define PM_MOST_POINTS	400

/* A step of time; of what was seen in it. */
typedef struct PmPoint
{
	double		seen;			/* ms; 0: nobody was watching */
	double		connections;	/* us that connections were open, in sum */
	double		busy;			/* us in transactions, in sum */
	double		least;			/* least connections of a stretch, on average
								 * in it; -1: none */
	int			most;			/* connections at any moment */
	int			most_busy;		/* as sampled */
	double		connects;
	double		refused;
	double		guarded;
	double		overflow;		/* ms, as the next three */
	double		exhausted;
	double		over;
	double		starved;
} PmPoint;

typedef struct PmCurve
{
	TimestampTz first;			/* begin of the first point */
	int64		step;			/* us */
	int			n;
	PmPoint    *points;
	int			peak;			/* most of all points */
	TimestampTz peak_at;		/* the stretch of it; 0: there was no
								 * connection */
	TimestampTz seen_from;		/* first stretch in which somebody was
								 * watching; 0: none */
} PmCurve;

extern int64 pm_curve_step(PmSpan span);
extern void pm_curve_of(const PmPast *past, PmSpan span, PmCurve *curve);

#endif							/* PM_CURVE_H */
