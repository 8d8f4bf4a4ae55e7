/*
 * simulate_question.c
 *		What simulate() is asked for: its arguments, checked, and what is declared where
 *		they are NULL.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "views/simulate_question.h"

#define MOST_CONNECTIONS	262143	/* of any PostgreSQL server */

static int
get_size(FunctionCallInfo fcinfo, int arg, const char *name, int declared, int least, int most)
{
	int			value = PG_ARGISNULL(arg) ? declared : PG_GETARG_INT32(arg);

	if (!PG_ARGISNULL(arg) && (value < least || value > most))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be between %d and %d%s, not %d", name, least, most,
						fcinfo->flinfo->fn_strict ? "" : ", or NULL for what is declared", value)));
	return value;
}

static int64
get_timeout(FunctionCallInfo fcinfo, int arg, int64 declared)
{
	const Interval *value = PG_ARGISNULL(arg) ? NULL : PG_GETARG_INTERVAL_P(arg);
	int64		us = value ? value->time + value->day * USECS_PER_DAY : declared;

	if (value && (value->month != 0 || us < 0 || us > USECS_PER_DAY || llabs(value->day) > 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("pool_timeout must be between 0 and 1 day, or NULL for what is declared")));
	return us;
}

/* From so long ago on; NULL: a day. */
PmSpan
pm_question_span(FunctionCallInfo fcinfo, int arg)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	PmSpan		span = {.since = now - USECS_PER_DAY,.until = DT_NOEND};

	if (!PG_ARGISNULL(arg))
		span.since = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(now),
															 PG_GETARG_DATUM(arg)));
	if (span.since >= now)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("span must be more than 0: so long ago what is replayed begins")));
	return span;
}

static double
get_load(FunctionCallInfo fcinfo, int arg)
{
	double		value = PG_ARGISNULL(arg) ? 1 : PG_GETARG_FLOAT8(arg);

	if (!(value > 0 && value <= 1000))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("load must be more than 0 and at most 1000 times what was measured, not %g", value)));
	return value;
}

static void
find_pool(PmQuestion *question, const PmRules *rules)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (strcmp(rules->pools[i].name, question->name) != 0)
			continue;
		question->pool = &rules->pools[i];
		question->account = rules->accounts[i];
	}
	if (question->pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no declared pool \"%s\"", question->name),
				 errhint("Give the name of a row of pool_monitor.pools that is in force.")));
}

static void
check_connections(const char *what, int processes, int pool_size, int max_overflow)
{
	int64		most = (int64) processes * (Max(pool_size, 1) + Max(max_overflow, 0));

	if (most > MOST_CONNECTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("all processes together, as %s, must have at most %d connections, not " INT64_FORMAT,
						what, MOST_CONNECTIONS, most),
				 errhint("Fewer servers or workers, or a smaller pool_size or max_overflow.")));
}

/* Of its processes: arg and the next one are pool_size and max_overflow. */
void
pm_question_ask_sizes(FunctionCallInfo fcinfo, int arg, PmQuestion *question)
{
	const PmPool *pool = question->pool;

	question->pool_size = get_size(fcinfo, arg, "pool_size", pool->pool_size, 0, 100000);
	question->max_overflow = get_size(fcinfo, arg + 1, "max_overflow", pool->max_overflow, -1, 100000);
	check_connections("asked for", question->processes, question->pool_size, question->max_overflow);
}

/*
 * simulate(pool text, workers int, pool_size int, max_overflow int, pool_timeout interval,
 * span interval, load float8, seed bigint); pool is not NULL.
 */
void
pm_question_ask(FunctionCallInfo fcinfo, PmQuestion *question, const PmRules *rules)
{
	const PmPool *pool;

	question->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	find_pool(question, rules);
	pool = question->pool;
	question->processes = pool->servers * get_size(fcinfo, 1, "workers", pool->workers, 1, 10000);
	check_connections("declared", pool->servers * pool->workers, pool->pool_size, pool->max_overflow);
	pm_question_ask_sizes(fcinfo, 2, question);
	question->pool_timeout = get_timeout(fcinfo, 4, pool->pool_timeout);
	question->span = pm_question_span(fcinfo, 5);
	question->load = get_load(fcinfo, 6);
	question->seed = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
}
