/*
 * curves.c
 *		curves(): each series of a span as points, for the report and the plot.
 */
#include "postgres.h"

#include <math.h>

#include "base/result.h"
#include "base/shmem.h"
#include "catalog/pg_type.h"
#include "history/curve.h"
#include "history/workload.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#define MOST_SPAN	(INT64CONST(732) * USECS_PER_DAY)	/* more is never kept */

typedef double (*Figure) (const PmPoint *point);

static double
per_time(double sum, const PmPoint *point)
{
	return point->seen > 0 ? sum / (point->seen * 1000.0) : NAN;
}

static double
connections(const PmPoint *point)
{
	return per_time(point->connections, point);
}

static double
least(const PmPoint *point)
{
	return point->least >= 0 ? point->least : NAN;
}

static double
most(const PmPoint *point)
{
	return point->seen > 0 ? point->most : NAN;
}

static double
busy(const PmPoint *point)
{
	return per_time(point->busy, point);
}

static double
most_busy(const PmPoint *point)
{
	return point->seen > 0 ? point->most_busy : NAN;
}

static double
connects(const PmPoint *point)
{
	return point->connects;
}

static double
refused(const PmPoint *point)
{
	return point->refused;
}

static double
guarded(const PmPoint *point)
{
	return point->guarded;
}

static const struct
{
	const char *name;
	Figure		of;
}			figures[] = {
	{"connections", connections}, {"least_connections", least}, {"most_connections", most},
	{"busy", busy}, {"most_busy", most_busy}, {"connects", connects}, {"refused", refused},
	{"guarded", guarded},
};

/*
 * The worst that held at some time of it. Empty: nobody was watching. When somebody was, and
 * saw the server, a pool without a history was not declared.
 */
static const char *
status_of(const PmPoint *point, const PmPoint *of_server)
{
	if (point->seen == 0)
		return of_server->seen > 0 ? "undeclared" : "";
	if (point->starved > 0)
		return "starved";
	if (point->over > 0)
		return "over";
	if (point->exhausted > 0)
		return "exhausted";
	if (point->overflow > 0)
		return "overflow";
	return "ok";
}

/* To two decimals: it is for a picture. NaN: not known. */
static void
append_figure(StringInfo json, double value)
{
	if (isnan(value))
		appendStringInfoString(json, "null");
	else if (value == rint(value))
		appendStringInfo(json, "%.0f", value);
	else
		appendStringInfo(json, "%.2f", value);
}

static void
append_time(StringInfo json, const char *name, TimestampTz at)
{
	char		text[MAXDATELEN + 1];

	if (at == 0)
		appendStringInfo(json, ", \"%s\": null", name);
	else
		appendStringInfo(json, ", \"%s\": \"%s\"", name,
						 JsonEncodeDateTime(text, TimestampTzGetDatum(at), TIMESTAMPTZOID, NULL));
}

static char *
curve_json(const PmCurve *curve, const PmCurve *server)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"step\": " INT64_FORMAT ", \"peak\": %d", curve->step / USECS_PER_SEC, curve->peak);
	append_time(&json, "first", curve->first);
	append_time(&json, "peak_at", curve->peak_at);
	append_time(&json, "seen_from", curve->seen_from);
	for (int f = 0; f < (int) lengthof(figures); f++)
	{
		appendStringInfo(&json, ", \"%s\": [", figures[f].name);
		for (int i = 0; i < curve->n; i++)
		{
			appendStringInfoString(&json, i > 0 ? ", " : "");
			append_figure(&json, figures[f].of(&curve->points[i]));
		}
		appendStringInfoChar(&json, ']');
	}
	appendStringInfoString(&json, ", \"status\": [");
	for (int i = 0; i < curve->n; i++)
		appendStringInfo(&json, "%s\"%s\"", i > 0 ? ", " : "", status_of(&curve->points[i], &server->points[i]));
	appendStringInfoString(&json, "]}");
	return json.data;
}

/* The time from the first that there is to the last has no room in 64 bits; less than that of MOST_SPAN is no trouble. */
static void
check_span(PmSpan span)
{
	if (TIMESTAMP_NOT_FINITE(span.since) || TIMESTAMP_NOT_FINITE(span.until) || span.until <= span.since ||
		span.since < span.until - MOST_SPAN)
	{
		char	   *since = pstrdup(timestamptz_to_str(span.since));	/* whose buffer the next
																		 * one gets */

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the span must be longer than nothing, and not longer than 732 days"),
				 errdetail("It is from %s to %s.", since, timestamptz_to_str(span.until))));
	}
}

/* When somebody was watching. */
static void
server_curve(PmSpan span, PmCurve *curve)
{
	PmPast		past;

	pm_past_begin(&past, "(server)", 0, pm_workload_reads(span));
	if (!pm_past_next(&past))
		past.rings[PM_MINUTES].count = past.rings[PM_HOURS].count = 0;
	pm_curve_of(&past, span, curve);
}

PG_FUNCTION_INFO_V1(pm_curves);

/* curves(pool text, since timestamptz, until timestamptz) */
Datum
pm_curves(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *pool = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	PmSpan		span;
	PmPast		past;
	PmCurve		server;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	span = (PmSpan)
	{
		PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2)
	};
	check_span(span);
	server_curve(span, &server);
	pm_past_begin(&past, pool, 0, pm_workload_reads(span));
	while (pm_past_next(&past))
	{
		PmRow		row = {0};
		PmCurve		curve;
		char	   *json;

		CHECK_FOR_INTERRUPTS();
		pm_curve_of(&past, span, &curve);
		json = curve_json(&curve, &server);
		pm_put_text(&row, past.name);
		pm_put_text(&row, json);
		pm_put_row(result, &row);
		pfree(json);
		pfree(curve.points);
	}
	return (Datum) 0;
}
