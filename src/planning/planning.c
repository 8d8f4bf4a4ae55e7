/*
 * planning.c
 *		The SQL functions over the mathematics of sizing.c: plan(), erlang_b() and
 *		its kin. They check their arguments, and read nothing but these.
 */
#include "postgres.h"

#include <math.h>

#include "base/guc.h"
#include "base/result.h"
#include "fmgr.h"
#include "funcapi.h"
#include "planning/sizing.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#define MOST_CONNECTIONS	262143	/* of any PostgreSQL server */

/* ---- arguments ---- */

static int
get_count(FunctionCallInfo fcinfo, int arg, const char *name, int least, int most)
{
	int			value = PG_GETARG_INT32(arg);

	if (value < least || value > most)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be between %d and %d, not %d", name, least, most, value)));
	return value;
}

static double
get_number(FunctionCallInfo fcinfo, int arg, const char *name)
{
	double		value = PG_GETARG_FLOAT8(arg);

	if (isnan(value) || isinf(value) || value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a number that is 0 or more, not %g", name, value)));
	return value;
}

/* A probability. */
static double
get_share(FunctionCallInfo fcinfo, int arg, const char *name)
{
	double		value = PG_GETARG_FLOAT8(arg);

	if (isnan(value) || value < 0 || value > 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be between 0 and 1, not %g", name, value)));
	return value;
}

static int
get_connections(FunctionCallInfo fcinfo)
{
	return get_count(fcinfo, 0, "connections", 0, MOST_CONNECTIONS);
}

static double
get_load(FunctionCallInfo fcinfo, int arg)
{
	return get_number(fcinfo, arg, "offered_load");
}

static double
get_hold(FunctionCallInfo fcinfo, int arg)
{
	return get_number(fcinfo, arg, "hold_time");
}

/* ---- queueing ---- */

PG_FUNCTION_INFO_V1(pm_erlang_b_sql);

/* erlang_b(connections int, offered_load float8) */
Datum
pm_erlang_b_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_erlang_b(get_connections(fcinfo), get_load(fcinfo, 1)));
}

PG_FUNCTION_INFO_V1(pm_erlang_c_sql);

/* erlang_c(connections int, offered_load float8) */
Datum
pm_erlang_c_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_erlang_c(get_connections(fcinfo), get_load(fcinfo, 1)));
}

PG_FUNCTION_INFO_V1(pm_load_carried_sql);

/* load_carried(connections int, waiting float8) */
Datum
pm_load_carried_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_load_carried(get_connections(fcinfo), get_share(fcinfo, 1, "waiting")));
}

PG_FUNCTION_INFO_V1(pm_offered_load_sql);

/* offered_load(rate float8, hold_time float8): Little's law. */
Datum
pm_offered_load_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(get_number(fcinfo, 0, "rate") * get_hold(fcinfo, 1));
}

PG_FUNCTION_INFO_V1(pm_mean_wait_sql);

/* mean_wait(connections int, offered_load float8, hold_time float8) */
Datum
pm_mean_wait_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_mean_wait(get_connections(fcinfo), get_load(fcinfo, 1), get_hold(fcinfo, 2)));
}

PG_FUNCTION_INFO_V1(pm_mean_queue_sql);

/* mean_queue(connections int, offered_load float8) */
Datum
pm_mean_queue_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_mean_queue(get_connections(fcinfo), get_load(fcinfo, 1)));
}

PG_FUNCTION_INFO_V1(pm_wait_quantile_sql);

/* wait_quantile(connections int, offered_load float8, hold_time float8, quantile float8) */
Datum
pm_wait_quantile_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_wait_quantile(get_connections(fcinfo), get_load(fcinfo, 1), get_hold(fcinfo, 2),
									  get_share(fcinfo, 3, "quantile")));
}

PG_FUNCTION_INFO_V1(pm_timeout_probability_sql);

/* timeout_probability(connections int, offered_load float8, hold_time float8, pool_timeout float8) */
Datum
pm_timeout_probability_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(pm_timeout_probability(get_connections(fcinfo), get_load(fcinfo, 1), get_hold(fcinfo, 2),
											get_number(fcinfo, 3, "pool_timeout")));
}

PG_FUNCTION_INFO_V1(pm_connections_needed_sql);

/* connections_needed(offered_load float8, hold_time float8, pool_timeout float8, target float8) */
Datum
pm_connections_needed_sql(PG_FUNCTION_ARGS)
{
	double		load = get_load(fcinfo, 0);
	double		hold = get_hold(fcinfo, 1);
	double		timeout = get_number(fcinfo, 2, "pool_timeout");
	int			needed = pm_connections_needed(load, hold, timeout, get_share(fcinfo, 3, "target"), MOST_CONNECTIONS);

	if (needed < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32(needed);
}

PG_FUNCTION_INFO_V1(pm_needed_each_sql);

/* needed_each(busy int, processes int) */
Datum
pm_needed_each_sql(PG_FUNCTION_ARGS)
{
	int			busy = get_count(fcinfo, 0, "busy", 0, MOST_CONNECTIONS);

	PG_RETURN_INT32(pm_needed_each(busy, get_count(fcinfo, 1, "processes", 1, PG_INT32_MAX)));
}

/* ---- a whole pool ---- */

/* One row of queue(). */
static void
put_queue(ReturnSetInfo *result, const char *model, int connections, double load, double hold, double timeout)
{
	PmRow		row = {0};

	pm_put_text(&row, model);
	pm_put_int(&row, connections);
	pm_put(&row, Float8GetDatum(load));
	pm_put(&row, Float8GetDatum(load / connections));
	pm_put_bool(&row, load < connections);
	pm_put(&row, Float8GetDatum(pm_erlang_c(connections, load)));
	pm_put(&row, Float8GetDatum(pm_mean_wait(connections, load, hold)));
	pm_put(&row, Float8GetDatum(pm_wait_quantile(connections, load, hold, 0.95)));
	pm_put(&row, Float8GetDatum(pm_timeout_probability(connections, load, hold, timeout)));
	pm_put(&row, Float8GetDatum(pm_mean_queue(connections, load)));
	pm_put(&row, Float8GetDatum(pm_mean_wait(connections, load, hold) + hold));
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_queue_sql);

/*
 * queue(rate float8, hold_time float8, connections int, workers int, pool_timeout
 * float8): each worker has its own queue, and one worker's idle connection is of
 * no use to another's checkout; how unevenly the checkouts fall on them is not
 * known. One queue of each worker, with its share of the load, is the pessimistic
 * bound, one queue of all the optimistic one.
 */
Datum
pm_queue_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	double		hold = get_hold(fcinfo, 1);
	double		load = get_number(fcinfo, 0, "rate") * hold;
	int			connections = get_count(fcinfo, 2, "connections", 1, MOST_CONNECTIONS);
	int			workers = get_count(fcinfo, 3, "workers", 1, MOST_CONNECTIONS);
	double		timeout = get_number(fcinfo, 4, "pool_timeout");

	if ((int64) connections * workers > MOST_CONNECTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("connections * workers must be at most %d", MOST_CONNECTIONS)));
	InitMaterializedSRF(fcinfo, 0);
	put_queue(result, "isolated", connections, load / workers, hold, timeout);
	put_queue(result, "shared", connections * workers, load, hold, timeout);
	return (Datum) 0;
}

/* ---- plan() ---- */

PG_FUNCTION_INFO_V1(pm_plan_sql);

/*
 * plan(servers int, workers int, instances int, pool_size int, max_overflow int,
 * headroom_percent numeric, surge int): one instance is deployed at a time.
 */
Datum
pm_plan_sql(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"servers", "workers", "instances", "pool_size", "max_overflow", "headroom_percent", "surge"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmRow		row = {0};
	PmPlan		plan;
	int64		processes;
	int64		surge;
	int			pool_size;
	int			max_overflow;
	double		headroom;

	for (int arg = 0; arg < (int) lengthof(names); arg++)
	{
		if (PG_ARGISNULL(arg))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be NULL", names[arg])));
	}
	processes = (int64) get_count(fcinfo, 0, names[0], 1, 10000) * get_count(fcinfo, 1, names[1], 1, 10000);
	surge = (processes * get_count(fcinfo, 6, names[6], 0, 1000) + 99) / 100;
	processes *= get_count(fcinfo, 2, names[2], 1, 10000);
	pool_size = get_count(fcinfo, 3, names[3], 0, 100000);
	max_overflow = get_count(fcinfo, 4, names[4], -1, 100000);
	headroom = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(5)));
	if (isnan(headroom) || headroom < 0 || headroom > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("headroom_percent must be between 0 and 1000, not %g", headroom)));

	InitMaterializedSRF(fcinfo, 0);
	pm_plan(processes, surge, pool_size, max_overflow, headroom, &plan);
	pm_put_bound(&row, plan.base);
	pm_put_bound(&row, plan.ceiling);
	pm_put_bound(&row, plan.buffer);
	pm_put_bound(&row, plan.required);
	pm_put_row(result, &row);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(pm_max_connections_for_sql);

/* max_connections_for(connections int) */
Datum
pm_max_connections_for_sql(PG_FUNCTION_ARGS)
{
	int64		needed = pm_max_connections_for(get_count(fcinfo, 0, "connections", 0, MOST_CONNECTIONS));

	if (needed > MOST_CONNECTIONS)
		PG_RETURN_NULL();
	PG_RETURN_INT32((int32) needed);
}
