/*
 * inserted.c
 *		What is odd about rows that are written to pool_monitor.pools: warnings, at the
 *		end of the statement.
 *
 * It never makes the statement fail: a table or a row that cannot be read is passed over, which a
 * load complains of.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "pools/inserted.h"
#include "pools/lint.h"
#include "pools/rows.h"
#include "pools/table.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#define MOST_NOTED	100

/* The rows of the statement under way; more than that: all rows are looked at. */
static char noted[MOST_NOTED][PM_NAME_LEN];
static int	nnoted = 0;

/* All rows of the table. */
typedef struct Rows
{
	PmColumns	columns;
	PmDeclaration *row;			/* max_pools + 1 of them */
	int			n;
} Rows;

/* From the trigger for each row. */
void
pm_inserted_note(Relation table, HeapTuple tuple)
{
	PmColumns	columns;
	bool		isnull;
	Datum		name;

	if (nnoted > MOST_NOTED || !pm_columns_are_good(&columns, RelationGetDescr(table)))
		return;
	name = heap_getattr(tuple, columns.at[PM_COLUMN_name], columns.desc, &isnull);
	if (isnull)
		return;
	if (nnoted < MOST_NOTED)
		text_to_cstring_buffer(DatumGetTextPP(name), noted[nnoted], PM_NAME_LEN);
	nnoted++;
}

void
pm_inserted_forget(void)
{
	nnoted = 0;
}

static bool
collect(HeapTuple tuple, void *arg)
{
	Rows	   *rows = arg;

	rows->n += pm_row_is_good(&rows->columns, tuple, &rows->row[rows->n]);
	return rows->n <= pm_max_pools;
}

static int
compare(const void *a, const void *b)
{
	return pm_declaration_compare(a, b);
}

static bool
is_noted(const char *name)
{
	for (int i = 0; i < Min(nnoted, MOST_NOTED); i++)
	{
		if (strcmp(noted[i], name) == 0)
			return true;
	}
	return nnoted > MOST_NOTED;
}

/* Findings name other pools, and what these ask for: not to who may only insert. */
static bool
may_read(Relation table)
{
	return pg_class_aclcheck(RelationGetRelid(table), GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(RelationGetRelid(table), GetUserId(), ACL_SELECT, ACLMASK_ALL) == ACLCHECK_OK;
}

static void
leave_only_noted(Rows *rows)
{
	int			n = 0;

	for (int i = 0; i < rows->n; i++)
	{
		if (is_noted(rows->row[i].pool.name))
			rows->row[n++] = rows->row[i];
	}
	rows->n = n;
}

static void
warn(Rows *rows)
{
	PmPool	   *pools = palloc(sizeof(PmPool) * (rows->n + 1));
	bool	   *about = palloc(rows->n + 1);
	PmWarnings	warnings = {0};

	qsort(rows->row, rows->n, sizeof(PmDeclaration), compare);
	for (int i = 0; i < rows->n; i++)
	{
		pools[i] = rows->row[i].pool;
		about[i] = is_noted(pools[i].name);
	}
	pm_lint(pools, rows->n, about, palloc0(rows->n + 1), pm_lint_warn, &warnings);
	pm_lint_warned(&warnings);
}

/*
 * At the statement's end. When there are more than there is room for, something else is to be
 * said first: see check_number() in changes.c.
 */
void
pm_inserted_lint(Relation table)
{
	Rows		rows = {0};

	if (nnoted > 0 && pm_columns_are_good(&rows.columns, RelationGetDescr(table)))
	{
		rows.row = palloc(sizeof(PmDeclaration) * (pm_max_pools + 1));
		pm_table_scan_now(table, collect, &rows);
		if (!may_read(table))
			leave_only_noted(&rows);
		if (rows.n <= pm_max_pools)
			warn(&rows);
	}
	pm_inserted_forget();
}
