/*
 * schedule.c
 *		The schedule's arithmetic, for SQL.
 */
#include "postgres.h"

#include "fmgr.h"
#include "pools/values.h"
#include "pools/rules.h"
#include "pools/schedule.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pm_window_is_valid);

/* window_is_valid(text), for the constraint of pools.recycle_window. */
Datum
pm_window_is_valid(PG_FUNCTION_ARGS)
{
	PmWindow	window;

	PG_RETURN_BOOL(pm_window_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &window) == NULL);
}

PG_FUNCTION_INFO_V1(pm_in_window);

/* in_window(recycle_window text, at timestamptz). */
Datum
pm_in_window(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(1);
	PmWindow	window;
	const char *wrong = pm_window_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &window);

	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid recycle_window: %s", wrong)));
	if (TIMESTAMP_NOT_FINITE(at))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(pm_window_open(&window, at));
}

PG_FUNCTION_INFO_V1(pm_retirement_gap_sql);

/* retirement_gap(lifetime interval, connections int). */
Datum
pm_retirement_gap_sql(PG_FUNCTION_ARGS)
{
	Interval   *lifetime = PG_GETARG_INTERVAL_P(0);
	int32		connections = PG_GETARG_INT32(1);
	Interval   *gap;
	int64		us;

	if (connections < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connections must be 1 or more, not %d", connections)));
	if (!pm_interval_us(lifetime, &us) || us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lifetime must be neither negative nor too long to count in microseconds")));
	gap = palloc0(sizeof(Interval));
	gap->time = pm_retirement_gap(us, connections);
	PG_RETURN_INTERVAL_P(gap);
}
