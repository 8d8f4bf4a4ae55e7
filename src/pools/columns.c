/*
 * columns.c
 *		The columns of pool_monitor.pools.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "pools/columns.h"
#include "utils/datum.h"

/* Kinds of columns: the type, its name in SQL, what the reader fills, the reader. */
#define KIND_NAME			TEXTOID, "text", sizeof(char[PM_NAME_LEN]), pm_read_name
#define KIND_PATTERN		TEXTOID, "text", sizeof(PmPattern), pm_read_pattern
#define KIND_ASCII_PATTERN	TEXTOID, "text", sizeof(PmPattern), pm_read_ascii_pattern
#define KIND_MODE			TEXTOID, "text", sizeof(PmRecycleMode), pm_read_mode
#define KIND_GUARD			TEXTOID, "text", sizeof(PmGuardMode), pm_read_guard
#define KIND_WINDOW			TEXTOID, "text", sizeof(PmWindow), pm_read_window
#define KIND_NETWORK		CIDROID, "cidr", sizeof(PmNetwork), pm_read_network
#define KIND_INTEGER		INT4OID, "integer", sizeof(int), pm_read_int
#define KIND_BOOLEAN		BOOLOID, "boolean", sizeof(bool), pm_read_bool
#define KIND_INTERVAL		INTERVALOID, "interval", sizeof(int64), pm_read_interval

/* What part they have: whether they match, and when they act. */
#define PART_MATCHES	true, NULL
#define PART_ACTS(when)	false, when
#define PART_OTHER		false, NULL

/* A range is a literal: NULL would be nothing wrong. */
const PmColumn pm_pool_columns[PM_NUM_COLUMNS] = {
#define PM_COLUMN(column, kind, field, null, part, ...) \
	{#column, KIND_##kind, offsetof(PmDeclaration, field), PM_NULL_##null, PART_##part, "" __VA_ARGS__},
#include "pools/columnlist.h"
#undef PM_COLUMN
};

/* No reader writes beyond its field. */
#define SIZE(type, type_name, size, read)	size
#define SIZE_OF_KIND(...)					SIZE(__VA_ARGS__)
#define PM_COLUMN(column, kind, field, ...) \
	StaticAssertDecl(sizeof(((PmDeclaration *) NULL)->field) == SIZE_OF_KIND(KIND_##kind), #column " is of another kind");
#include "pools/columnlist.h"
#undef PM_COLUMN

/* The table's column of that name; NULL when there is none. */
static Form_pg_attribute
attribute_called(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute;
	}
	return NULL;
}

/* Returns what is wrong with it, or NULL. */
static const char *
find_column(TupleDesc desc, const PmColumn *column, AttrNumber *at)
{
	Form_pg_attribute attribute = attribute_called(desc, column->name);

	if (attribute == NULL)
		return "missing";
	*at = attribute->attnum;
	if (attribute->atttypid != column->type)
		return psprintf("not of type %s", column->type_name);
	/* from 18 on it may be computed by whoever reads it, and have no value */
	return attribute->attgenerated != '\0' ? "a generated column" : NULL;
}

/* Raises an error that names the column when one is not there as it must be. */
void
pm_columns_find(PmColumns *columns, TupleDesc desc)
{
	columns->desc = desc;
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		const char *wrong = find_column(desc, &pm_pool_columns[i], &columns->at[i]);

		if (wrong != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" of pool_monitor.pools is %s", pm_pool_columns[i].name, wrong)));
	}
}

/* Likewise, for who does not mind: false when one is not. */
bool
pm_columns_are_good(PmColumns *columns, TupleDesc desc)
{
	columns->desc = desc;
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		if (find_column(desc, &pm_pool_columns[i], &columns->at[i]) != NULL)
			return false;
	}
	return true;
}

static bool
values_alike(TupleDesc desc, Form_pg_attribute attribute, HeapTuple a, HeapTuple b)
{
	bool		a_null;
	bool		b_null;
	Datum		a_value = heap_getattr(a, attribute->attnum, desc, &a_null);
	Datum		b_value = heap_getattr(b, attribute->attnum, desc, &b_null);

	if (a_null || b_null)
		return a_null && b_null;
	return datumIsEqual(a_value, b_value, attribute->attbyval, attribute->attlen);
}

/*
 * Have both rows the same in all columns that are read, byte for byte? Raises nothing,
 * whatever has become of the table.
 */
bool
pm_columns_alike(TupleDesc desc, HeapTuple a, HeapTuple b)
{
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		Form_pg_attribute attribute = attribute_called(desc, pm_pool_columns[i].name);

		if (attribute != NULL && !values_alike(desc, attribute, a, b))
			return false;
	}
	return true;
}
