/*
 * columns.h
 *		The columns of pool_monitor.pools, where they are in the table, and whether
 *		two rows differ in them.
 */
#ifndef PM_COLUMNS_H
#define PM_COLUMNS_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "pools/values.h"

#define PM_MOST_CONNECTIONS	262143	/* of any PostgreSQL server: MAX_BACKENDS */
#define PM_MOST_CONNECT_RATE 100000

typedef enum PmColumnId
{
#define PM_COLUMN(column, ...) PM_COLUMN_##column,
#include "pools/columnlist.h"
#undef PM_COLUMN
	PM_NUM_COLUMNS
} PmColumnId;

extern const PmColumn pm_pool_columns[PM_NUM_COLUMNS];

/* Where they are in a table; desc must stay as long as this is used. */
typedef struct PmColumns
{
	TupleDesc	desc;
	AttrNumber	at[PM_NUM_COLUMNS];
} PmColumns;

extern void pm_columns_find(PmColumns *columns, TupleDesc desc);
extern bool pm_columns_are_good(PmColumns *columns, TupleDesc desc);
extern bool pm_columns_alike(TupleDesc desc, HeapTuple a, HeapTuple b);

#endif							/* PM_COLUMNS_H */
