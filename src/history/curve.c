/*
 * curve.c
 *		What a series did in a span of time, as points to be drawn.
 *
 * A point is a whole number of minutes, or of hours, so that it begins where clocks have
 * their marks. It keeps the most and the least of its stretches beside their average: what
 * lasted for a minute is seen in the picture of a month. An hour that stands for minutes
 * which are no longer kept is laid over all points that it has, in equal parts.
 */
#include "postgres.h"

#include "history/curve.h"
#include "history/workload.h"
#include "utils/timestamp.h"

#define MINUTES		60			/* s */
#define HOURS		3600
#define DAYS		86400

/* The least step of which there are not too many. */
int64
pm_curve_step(PmSpan span)
{
	static const int steps[] = {
		MINUTES, 2 * MINUTES, 5 * MINUTES, 10 * MINUTES, 15 * MINUTES, 30 * MINUTES,
		HOURS, 2 * HOURS, 3 * HOURS, 6 * HOURS, 12 * HOURS, DAYS, 2 * DAYS
	};

	for (int i = 0; i < (int) lengthof(steps); i++)
	{
		if ((span.until - span.since) / (steps[i] * USECS_PER_SEC) < PM_MOST_POINTS)
			return steps[i] * USECS_PER_SEC;
	}
	return (span.until - span.since) / PM_MOST_POINTS + 1;
}

static void
begin_curve(PmCurve *curve, PmSpan span)
{
	curve->step = pm_curve_step(span);
	curve->first = span.since - span.since % curve->step;
	curve->n = (span.until - curve->first + curve->step - 1) / curve->step;
	curve->points = palloc0(curve->n * sizeof(PmPoint));
	curve->peak = 0;
	curve->peak_at = curve->seen_from = 0;
	for (int i = 0; i < curve->n; i++)
		curve->points[i].least = -1;
}

/* A part of the stretch falls on this point. */
static void
add_part(PmPoint *point, const PmBucket *bucket, double part)
{
	point->connects += bucket->connects * part;
	point->refused += bucket->refused * part;
	point->guarded += bucket->guarded * part;
	point->most = Max(point->most, bucket->max_connections);
	point->most_busy = Max(point->most_busy, bucket->max_busy);
	if (bucket->seen > 0)
	{
		double		connections = bucket->connections / (bucket->seen * 1000.0);

		point->least = point->least < 0 ? connections : Min(point->least, connections);
	}
	point->seen += bucket->seen * part;
	point->connections += bucket->connections * part;
	point->busy += bucket->busy * part;
	point->overflow += bucket->overflow * part;
	point->exhausted += bucket->exhausted * part;
	point->over += bucket->over * part;
	point->starved += bucket->starved * part;
}

static void
add_stretch(PmCurve *curve, const PmStretchOf *stretch)
{
	int64		from = (stretch->start - curve->first) / curve->step;
	int64		parts = Max(stretch->length / curve->step, 1);

	for (int64 i = Max(from, 0); i < from + parts && i < curve->n; i++)
		add_part(&curve->points[i], stretch->bucket, 1.0 / parts);
	if (stretch->bucket->max_connections > curve->peak)
	{
		curve->peak = stretch->bucket->max_connections;
		curve->peak_at = stretch->start;
	}
	if (stretch->bucket->seen > 0 && curve->seen_from == 0)
		curve->seen_from = stretch->start;
}

/* Of a past that was read with pm_workload_reads(). The span is finite, and not empty. */
void
pm_curve_of(const PmPast *past, PmSpan span, PmCurve *curve)
{
	PmChosen	chosen;

	begin_curve(curve, span);
	pm_choose_stretches(past, span, &chosen);
	for (int i = 0; i < chosen.n; i++)
		add_stretch(curve, &chosen.all[i]);
	pfree(chosen.all);
}
