/*
 * result.c
 *		Building the rows that the SQL functions return.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "base/compat.h"
#include "base/result.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/memutils.h"
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
pm_put_text(PmRow *row, const char *value)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());

	if (value == NULL)
		pm_put_null(row);
	else
		pm_put(row, CStringGetTextDatum(value));
	MemoryContextSwitchTo(caller);
}

/* In the row itself, or where the row's other values are. */
static void
put_interval(PmRow *row, int32 days, TimeOffset time)
{
	Interval   *interval = row->nintervals < PM_ROW_INTERVALS ? &row->intervals[row->nintervals++] :
	MemoryContextAlloc(pm_row_context(), sizeof(Interval));

	interval->month = 0;
	interval->day = days;
	interval->time = time;
	pm_put(row, IntervalPGetDatum(interval));
}

/*
 * An interval, with days, as the difference of two times: what timestamp_mi() makes of
 * it, but for people, to the second from a minute on. Negative becomes NULL.
 */
void
pm_put_age(PmRow *row, int64 us)
{
	if (us >= USECS_PER_MINUTE)
		us -= us % USECS_PER_SEC;
	if (us < 0)
		pm_put_null(row);
	else
		put_interval(row, (int32) (us / USECS_PER_DAY), us % USECS_PER_DAY);
}

/* An interval in seconds and less, not in days; negative becomes NULL. */
void
pm_put_duration(PmRow *row, int64 us)
{
	if (us < 0)
		pm_put_null(row);
	else
		put_interval(row, 0, us);
}

/*
 * An inet, in the current memory context: what inet_in() makes of the address. 0 for a
 * Unix-domain socket.
 */
Datum
pm_inet(const PmAddr *addr)
{
	inet	   *value;

	if (addr->family == 0)
		return (Datum) 0;
	value = palloc0(sizeof(inet));
	ip_family(value) = addr->family == 4 ? PGSQL_AF_INET : PGSQL_AF_INET6;
	ip_bits(value) = ip_maxbits(value);
	memcpy(ip_addr(value), addr->bytes, ip_addrsize(value));
	SET_INET_VARSIZE(value);
	return InetPGetDatum(value);
}

/* The row is out, and begins anew. */
void
pm_put_row(ReturnSetInfo *result, PmRow *row)
{
	if (row->ncolumns != result->setDesc->natts)
		elog(ERROR, "pool_monitor: %d columns for a row of %d; do the library and the extension have the same version?",
			 row->ncolumns, result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
	row->ncolumns = row->nintervals = 0;
	MemoryContextReset(pm_row_context());
}

/*
 * The rule of pg_stat_activity: details of a session are for its own role's
 * members and for pg_read_all_stats, which is the caller that sees all.
 */
bool
pm_sees_all(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

bool
pm_may_see(Oid userid)
{
	return pm_sees_all() || has_privs_of_role(GetUserId(), userid);
}
