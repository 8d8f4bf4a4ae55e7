/*
 * rows.h
 *		A row of pool_monitor.pools, checked, as a declaration.
 */
#ifndef PM_ROWS_H
#define PM_ROWS_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "pools/rules.h"

#define PM_NUM_COLUMNS 21

/* Where the columns are in the table, in the order of rows.c. */
typedef struct PmColumns
{
	TupleDesc	desc;
	AttrNumber	at[PM_NUM_COLUMNS];
} PmColumns;

typedef struct PmDeclaration
{
	PmPool		pool;
	int			priority;
	bool		zone_is_unknown;	/* the window's: it stays shut */
} PmDeclaration;

/* These raise an error that names the column, and the pool where there is one. */
extern void pm_columns_find(PmColumns *columns, TupleDesc desc);
extern void pm_row_read(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration);

extern bool pm_rows_alike(TupleDesc desc, HeapTuple a, HeapTuple b);

extern int	pm_declaration_compare(const PmDeclaration *a, const PmDeclaration *b);
extern bool pm_declaration_acts(const PmDeclaration *declaration);
extern bool pm_declaration_matches_alike(const PmDeclaration *a, const PmDeclaration *b);
extern bool pm_interval_us(const Interval *interval, int64 *us);

#endif							/* PM_ROWS_H */
