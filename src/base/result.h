/*
 * result.h
 *		Building the rows that the SQL functions return, one column after the
 *		other in the order in which the SQL script declares them.
 */
#ifndef PM_RESULT_H
#define PM_RESULT_H

#include "base/identity.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#define PM_MAX_COLUMNS 64
#define PM_ROW_INTERVALS 8		/* for which a row has room itself */

/* A value may point into it: it stays where it is. */
typedef struct PmRow
{
	int			ncolumns;
	int			nintervals;
	Datum		values[PM_MAX_COLUMNS];
	bool		nulls[PM_MAX_COLUMNS];
	Interval	intervals[PM_ROW_INTERVALS];
} PmRow;

extern MemoryContext pm_row_context(void);
extern void pm_put_text(PmRow *row, const char *value);
extern void pm_put_age(PmRow *row, int64 us);
extern void pm_put_duration(PmRow *row, int64 us);
extern Datum pm_inet(const PmAddr *addr);
extern void pm_put_row(ReturnSetInfo *result, PmRow *row);

extern bool pm_sees_all(void);
extern bool pm_may_see(Oid userid);

/* For a row that is not zeroed, which costs more. */
static inline void
pm_row_begin(PmRow *row)
{
	row->ncolumns = row->nintervals = 0;
}

static inline void
pm_put(PmRow *row, Datum value)
{
	Assert(row->ncolumns < PM_MAX_COLUMNS);
	row->values[row->ncolumns] = value;
	row->nulls[row->ncolumns++] = false;
}

static inline void
pm_put_null(PmRow *row)
{
	Assert(row->ncolumns < PM_MAX_COLUMNS);
	row->values[row->ncolumns] = (Datum) 0;
	row->nulls[row->ncolumns++] = true;
}

/* A value that is made already, of a type that is passed by reference; 0 is NULL. */
static inline void
pm_put_made(PmRow *row, Datum value)
{
	if (value == (Datum) 0)
		pm_put_null(row);
	else
		pm_put(row, value);
}

static inline void
pm_put_int(PmRow *row, int value)
{
	pm_put(row, Int32GetDatum(value));
}

static inline void
pm_put_bool(PmRow *row, bool value)
{
	pm_put(row, BoolGetDatum(value));
}

/* A bigint; negative means "no bound" and becomes NULL. */
static inline void
pm_put_bound(PmRow *row, int64 value)
{
	if (value < 0)
		pm_put_null(row);
	else
		pm_put(row, Int64GetDatum(value));
}

/* 0 is "never" and becomes NULL. */
static inline void
pm_put_time(PmRow *row, TimestampTz value)
{
	if (value == 0)
		pm_put_null(row);
	else
		pm_put(row, TimestampTzGetDatum(value));
}

#endif							/* PM_RESULT_H */
