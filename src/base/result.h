/*
 * result.h
 *		Building the rows that the SQL functions return, one column after the
 *		other in the order in which the SQL script declares them.
 */
#ifndef PM_RESULT_H
#define PM_RESULT_H

#include "base/identity.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "funcapi.h"

#define PM_MAX_COLUMNS 40

typedef struct PmRow
{
	int			ncolumns;
	Datum		values[PM_MAX_COLUMNS];
	bool		nulls[PM_MAX_COLUMNS];
} PmRow;

extern MemoryContext pm_row_context(void);
extern void pm_put(PmRow *row, Datum value);
extern void pm_put_null(PmRow *row);
extern void pm_put_int(PmRow *row, int value);
extern void pm_put_bound(PmRow *row, int64 value);
extern void pm_put_bool(PmRow *row, bool value);
extern void pm_put_text(PmRow *row, const char *value);
extern void pm_put_name(PmRow *row, const char *value);
extern void pm_put_time(PmRow *row, TimestampTz value);
extern void pm_put_age(PmRow *row, int64 us);
extern void pm_put_duration(PmRow *row, int64 us);
extern void pm_put_addr(PmRow *row, const PmAddr *addr);
extern void pm_put_row(ReturnSetInfo *result, PmRow *row);

extern bool pm_may_see(Oid userid);

#endif							/* PM_RESULT_H */
