/*
 * lintnames.c
 *		What declarations ask for by name, and whether there is such a thing. In a
 *		transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pools/lintnames.h"
#include "pools/patterns.h"
#include "utils/acl.h"
#include "utils/rel.h"

/* As it can be shown in every database: what is not ASCII becomes a question mark. */
const char *
pm_lint_text(const char *pattern)
{
	char	   *text = pstrdup(pattern);

	for (char *c = text; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return text;
}

static void
add_name(PmCatalogNames *names, const NameData *name)
{
	if (names->n == names->room)
	{
		names->room = Max(64, 2 * names->room);
		names->names = names->names == NULL ? palloc(sizeof(NameData) * names->room) :
			repalloc_huge(names->names, sizeof(NameData) * names->room);
	}
	names->names[names->n++] = *name;
}

static void
read_names(PmCatalogNames *names, Oid catalog, AttrNumber column)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		name = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);

		CHECK_FOR_INTERRUPTS();
		if (!isnull)
			add_name(names, DatumGetName(name));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	names->read = true;
}

static bool
any_matches(PmCatalogNames *names, Oid catalog, AttrNumber column, const PmPattern *pattern)
{
	if (!names->read)
		read_names(names, catalog, column);
	for (int i = 0; i < names->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (pm_like(pattern->like, NameStr(names->names[i])))
			return true;
	}
	return false;
}

/* Also when it matches any name. */
bool
pm_database_exists(PmCatalogNames *databases, const PmPattern *pattern)
{
	char		name[PM_PATTERN_LEN];

	if (pm_pattern_literal(pattern, name))
		return OidIsValid(get_database_oid(name, true));
	return !pattern->limited || any_matches(databases, DatabaseRelationId, Anum_pg_database_datname, pattern);
}

bool
pm_role_exists(PmCatalogNames *roles, const PmPattern *pattern)
{
	char		name[PM_PATTERN_LEN];

	if (pm_pattern_literal(pattern, name))
		return OidIsValid(get_role_oid(name, true));
	return !pattern->limited || any_matches(roles, AuthIdRelationId, Anum_pg_authid_rolname, pattern);
}
