/*
 * result.c
 *		Building the rows that the SQL functions return.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "base/result.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/*
 * Where the values of the row in the making are. It is emptied when the row is put
 * out, so that a result of millions of rows takes no more memory than one of them
 * and the tuplestore's. One is enough for a backend: nothing that builds rows
 * runs SQL in between. What an error leaves in it goes with the next row.
 */
MemoryContext
pm_row_context(void)
{
	static MemoryContext context = NULL;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "pool_monitor row", ALLOCSET_SMALL_SIZES);
	return context;
}

void
pm_put(PmRow *row, Datum value)
{
	Assert(row->ncolumns < PM_MAX_COLUMNS);
	row->values[row->ncolumns] = value;
	row->nulls[row->ncolumns++] = false;
}

void
pm_put_null(PmRow *row)
{
	Assert(row->ncolumns < PM_MAX_COLUMNS);
	row->values[row->ncolumns] = (Datum) 0;
	row->nulls[row->ncolumns++] = true;
}

void
pm_put_int(PmRow *row, int value)
{
	pm_put(row, Int32GetDatum(value));
}

/* A bigint; negative means "no bound" and becomes NULL. */
void
pm_put_bound(PmRow *row, int64 value)
{
	if (value < 0)
		pm_put_null(row);
	else
		pm_put(row, Int64GetDatum(value));
}

void
pm_put_bool(PmRow *row, bool value)
{
	pm_put(row, BoolGetDatum(value));
}

void
pm_put_text(PmRow *row, const char *value)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());

	if (value == NULL)
		pm_put_null(row);
	else
		pm_put(row, CStringGetTextDatum(value));
	MemoryContextSwitchTo(caller);
}

void
pm_put_name(PmRow *row, const char *value)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());

	if (value == NULL)
		pm_put_null(row);
	else
		pm_put(row, DirectFunctionCall1(namein, CStringGetDatum(value)));
	MemoryContextSwitchTo(caller);
}

/* 0 is "never" and becomes NULL. */
void
pm_put_time(PmRow *row, TimestampTz value)
{
	if (value == 0)
		pm_put_null(row);
	else
		pm_put(row, TimestampTzGetDatum(value));
}

/* An interval, with days, as the difference of two times; negative becomes NULL. */
void
pm_put_age(PmRow *row, int64 us)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());

	if (us < 0)
		pm_put_null(row);
	else
		pm_put(row, DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(us), TimestampTzGetDatum(0)));
	MemoryContextSwitchTo(caller);
}

/* An interval in seconds and less, not in days; negative becomes NULL. */
void
pm_put_duration(PmRow *row, int64 us)
{
	Interval   *interval;

	if (us < 0)
	{
		pm_put_null(row);
		return;
	}
	interval = MemoryContextAllocZero(pm_row_context(), sizeof(Interval));
	interval->time = us;
	pm_put(row, IntervalPGetDatum(interval));
}

/* An inet; NULL for a Unix-domain socket. */
void
pm_put_addr(PmRow *row, const PmAddr *addr)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());
	char		text[INET6_ADDRSTRLEN];

	if (addr->family == 0 ||
		inet_ntop(addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, text, sizeof(text)) == NULL)
		pm_put_null(row);
	else
		pm_put(row, DirectFunctionCall1(inet_in, CStringGetDatum(text)));
	MemoryContextSwitchTo(caller);
}

void
pm_put_row(ReturnSetInfo *result, PmRow *row)
{
	if (row->ncolumns != result->setDesc->natts)
		elog(ERROR, "pool_monitor: %d columns for a row of %d; do the library and the extension have the same version?",
			 row->ncolumns, result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
	MemoryContextReset(pm_row_context());
}

/*
 * The rule of pg_stat_activity: details of a session are for its own role's
 * members and for pg_read_all_stats.
 */
bool
pm_may_see(Oid userid)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), userid);
}
