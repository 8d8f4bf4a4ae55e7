/*
 * rows.c
 *		Rows of pool_monitor.pools, as declarations.
 *
 * The table's own constraints are there to tell whoever writes a row. Here none is
 * taken for granted: a superuser may have dropped them, with columns too, and what
 * is read goes into shared memory and is used with the server's own rights by every
 * backend. So each column must be there with its type (columns.c), and each value be
 * in its range (values.c); base and ceiling are computed anew. What cannot be read is
 * an ERROR that names pool and column.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "pools/rows.h"

static void
fail(const PmDeclaration *declaration, PmColumnId column, const char *why)
{
	const char *name = pm_pool_columns[column].name;

	if (declaration->pool.name[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("pool \"%s\": column \"%s\" %s", declaration->pool.name, name, why)));
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("a row of pool_monitor.pools: column \"%s\" %s", name, why)));
}

/* What follows from the others. As base and ceiling in the table. */
static void
compute(PmDeclaration *declaration)
{
	PmPool	   *pool = &declaration->pool;
	int64		processes = (int64) pool->servers * pool->workers;
	int64		most = processes * ((int64) pool->pool_size + Max(pool->max_overflow, 0));

	if (processes * pool->pool_size > PM_MOST_CONNECTIONS)
		fail(declaration, PM_COLUMN_pool_size, "times servers * workers must be at most 262143");
	pool->base = processes * pool->pool_size;
	pool->grows_from_zero = pool->pool_size == 0;
	if (pool->pool_size == 0 || pool->max_overflow == -1)
		pool->ceiling = -1;
	else if (most > PM_MOST_CONNECTIONS)
		fail(declaration, PM_COLUMN_max_overflow, "and pool_size, times servers * workers, must be at most 262143");
	else
		pool->ceiling = most;
	if (pool->budget < 0)
		pool->budget = pool->ceiling;
}

void
pm_row_read(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration)
{
	memset(declaration, 0, sizeof(*declaration));
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, columns->at[i], columns->desc, &isnull);
		const char *wrong = pm_value_read(&pm_pool_columns[i], value, isnull, declaration);

		if (wrong != NULL)
			fail(declaration, i, wrong);
	}
	compute(declaration);
}

/* The order in which declarations are matched. */
int
pm_declaration_compare(const PmDeclaration *a, const PmDeclaration *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return strcmp(a->pool.name, b->pool.name);
}

/* May it end sessions, or will it as soon as another column says so? */
bool
pm_declaration_acts(const PmDeclaration *declaration)
{
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		const PmColumn *column = &pm_pool_columns[i];

		if (column->acts != NULL && column->acts(PM_FIELD(column, declaration)))
			return true;
	}
	return false;
}

/* Do both take the same sessions, from the same place in the order? */
bool
pm_declaration_matches_alike(const PmDeclaration *a, const PmDeclaration *b)
{
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		const PmColumn *column = &pm_pool_columns[i];

		if (column->matches && memcmp(PM_FIELD(column, a), PM_FIELD(column, b), column->size) != 0)
			return false;
	}
	return true;
}
