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
#include "lib/stringinfo.h"
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

/*
 * The ceiling with the processes that a surge adds; no more than any server can have, for
 * which nothing is refused.
 */
static int
surge_ceiling(const PmPool *pool)
{
	if (pool->ceiling < 0)
		return -1;
	return Min(pool->ceiling + pm_surge_processes(pool) * (pool->pool_size + pool->max_overflow), PM_MOST_CONNECTIONS);
}

/*
 * A guard that would refuse what nobody meant: everybody's logins, the connections that a
 * pool keeps open at rest, or for want of a reserve that the pool may not fill. Returns what
 * is wrong, and with which column, or NULL. Base and budgets are computed.
 */
static const char *
check_guard(const PmPool *pool, PmColumnId *column)
{
	if (pool->guard == PM_GUARD_OFF)
		return NULL;
	*column = PM_COLUMN_guard;
	if (pool->guard == PM_GUARD_ENFORCE && !pm_pool_limits(pool))
		return "must not be enforce for a pool that takes every session: it needs a pattern or a client_addr that limits it";
	*column = PM_COLUMN_budget;
	if (pool->budget >= 0 && pool->budget < pool->base)
		return psprintf("must be at least base, which is %d, unless guard is off", pool->base);
	*column = PM_COLUMN_reserved;
	if (pool->budget_at_rest >= 0 && pool->reserved > pool->budget_at_rest)
		return psprintf("must be at most the budget at rest, which is %d, unless guard is off", pool->budget_at_rest);
	return NULL;
}

/*
 * What follows from the others; base and ceiling as in the table. Returns what is wrong, and
 * with which column, or NULL.
 */
static const char *
compute(PmDeclaration *declaration, PmColumnId *column)
{
	PmPool	   *pool = &declaration->pool;
	int64		processes = (int64) pool->servers * pool->workers;
	int64		most = processes * ((int64) pool->pool_size + Max(pool->max_overflow, 0));
	bool		bounded = pool->pool_size > 0 && pool->max_overflow >= 0;

	*column = PM_COLUMN_pool_size;
	if (processes * pool->pool_size > PM_MOST_CONNECTIONS)
		return "times servers * workers must be at most 262143";
	*column = PM_COLUMN_max_overflow;
	if (bounded && most > PM_MOST_CONNECTIONS)
		return "and pool_size, times servers * workers, must be at most 262143";

	pool->base = processes * pool->pool_size;
	pool->grows_from_zero = pool->pool_size == 0;
	pool->ceiling = bounded ? most : -1;
	pool->surge_ceiling = surge_ceiling(pool);
	pool->has_budget = pool->budget >= 0;
	pool->budget_at_rest = pool->budget < 0 ? pool->ceiling : pool->budget;
	if (pool->budget < 0)
		pool->budget = pool->surge_ceiling;
	declaration->specificity = pm_specificity(pool);
	return check_guard(pool, column);
}

static const char *
read_row(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration, PmColumnId *column)
{
	memset(declaration, 0, sizeof(*declaration));
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, columns->at[i], columns->desc, &isnull);
		const char *wrong = pm_value_read(&pm_pool_columns[i], value, isnull, declaration);

		*column = i;
		if (wrong != NULL)
			return wrong;
	}
	return compute(declaration, column);
}

void
pm_row_read(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration)
{
	PmColumnId	column;
	const char *wrong = read_row(columns, tuple, declaration, &column);

	if (wrong != NULL)
		fail(declaration, column, wrong);
}

/* Likewise, for who does not mind: false when something is wrong with it. */
bool
pm_row_is_good(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration)
{
	PmColumnId	column;

	return read_row(columns, tuple, declaration, &column) == NULL;
}

/*
 * The order in which declarations are matched, the one that there is: by priority, then
 * the more specific one, then by name. Where a row stands depends on that row alone, so
 * nobody moves another one by what he declares.
 */
int
pm_declaration_compare(const PmDeclaration *a, const PmDeclaration *b)
{
	int			order = a->priority - b->priority;

	if (order == 0)
		order = pm_specificity_compare(&a->specificity, &b->specificity);
	return order != 0 ? order : strcmp(a->pool.name, b->pool.name);
}

static bool
acts_by(const PmColumn *column, const PmDeclaration *declaration)
{
	return column->acts != NULL && column->acts(PM_FIELD(column, declaration));
}

/*
 * May it end sessions or refuse logins, or will it as soon as another column, or a setting,
 * says so?
 */
bool
pm_declaration_acts(const PmDeclaration *declaration)
{
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		if (acts_by(&pm_pool_columns[i], declaration))
			return true;
	}
	return false;
}

/* The names of the columns by which one that acts does: "this and that". */
char *
pm_declaration_acts_by(const PmDeclaration *declaration)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		if (acts_by(&pm_pool_columns[i], declaration))
			appendStringInfo(&names, "%s%s", names.len > 0 ? " and " : "", pm_pool_columns[i].name);
	}
	return names.data;
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
