/*
 * acting.c
 *		Who may change declarations that retire sessions.
 *
 * A row that acts (columnlist.h says by which columns) ends other roles'
 * sessions, so INSERT or UPDATE on the table must not be more than it is: writing,
 * changing or deleting such a row needs what pg_terminate_backend() needs, the
 * privileges of pg_signal_backend. So does whatever could hand sessions to one: a
 * session belongs to the first row that matches, so deleting a row, or changing
 * what or when it matches, gives its sessions to the rows after it. (A new row only
 * takes sessions away from those.) Where a row stands follows from that row alone, see
 * pm_declaration_compare(): nobody moves one by what he declares beside it.
 *
 * Two transactions could each be right alone: one deletes a row, the other declares
 * one after it that acts. So who writes a row that acts holds ActingLock until the
 * end of the transaction, and who must know that there is none holds HandingLock,
 * which conflicts. Rows that are too many push the last ones out of force, so who may not
 * end sessions must not add such: he holds it, too, when they are counted. Both are
 * heavyweight locks on an object of the extension's own:
 * the table's OID with a sub-id that no column has. Only the trigger takes them, so
 * only who may write to the table can make anybody wait, and only writers wait.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "pools/acting.h"
#include "pools/rows.h"
#include "pools/table.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/rel.h"

#define LOCK_SUBID	0x7001
#define ActingLock	RowExclusiveLock	/* conflicts with the next, not with
										 * itself */
#define HandingLock	ShareRowExclusiveLock	/* with both */

/* A search for the first row, after a given one, that acts. */
typedef struct Search
{
	PmColumns	columns;
	const PmDeclaration *after; /* NULL: anywhere */
	PmDeclaration row;
	bool		found;
} Search;

static void
take_lock(Relation table, LOCKMODE mode)
{
	LockDatabaseObject(RelationRelationId, RelationGetRelid(table), LOCK_SUBID, mode);
}

static bool
look_at_row(HeapTuple tuple, void *arg)
{
	Search	   *search = arg;

	pm_row_read(&search->columns, tuple, &search->row);
	search->found = pm_declaration_acts(&search->row) &&
		(search->after == NULL || pm_declaration_compare(&search->row, search->after) > 0);
	return !search->found;
}

static void
deny(const char *what, const char *pool, const char *because)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s pool \"%s\"", what, pool),
			 errdetail("Pool \"%s\" retires sessions by its %s.", because, pm_columns_acting()),
			 errhint("This needs the privileges of the role pg_signal_backend, also for a pool that comes before one that retires sessions.")));
}

/* Would sessions of this row, which is about to go, come to one that acts? */
static void
check_handing(const TriggerData *trigger, const PmDeclaration *old, const char *what)
{
	Search	   *search = palloc0(sizeof(Search));

	take_lock(trigger->tg_relation, HandingLock);
	pm_columns_find(&search->columns, RelationGetDescr(trigger->tg_relation));
	search->after = old;
	pm_table_scan_now(trigger->tg_relation, look_at_row, search);
	if (search->found)
		deny(what, old->pool.name, search->row.pool.name);
	pfree(search);
}

static PmDeclaration *
read_row(const TriggerData *trigger, HeapTuple tuple)
{
	PmDeclaration *row = palloc(sizeof(PmDeclaration));
	PmColumns	columns;

	pm_columns_find(&columns, RelationGetDescr(trigger->tg_relation));
	pm_row_read(&columns, tuple, row);
	return row;
}

static void
check_row_of_others(const TriggerData *trigger)
{
	bool		inserted = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	bool		deleted = TRIGGER_FIRED_BY_DELETE(trigger->tg_event);
	HeapTuple	new_tuple = inserted ? trigger->tg_trigtuple : trigger->tg_newtuple;
	const char *what = inserted ? "declare" : deleted ? "delete" : "change";
	PmDeclaration *old = inserted ? NULL : read_row(trigger, trigger->tg_trigtuple);
	PmDeclaration *new = deleted ? NULL : read_row(trigger, new_tuple);

	if (old != NULL && pm_declaration_acts(old))
		deny(what, old->pool.name, old->pool.name);
	if (new != NULL && pm_declaration_acts(new))
		deny(what, new->pool.name, new->pool.name);
	if (old != NULL && (new == NULL || !pm_declaration_matches_alike(old, new)))
		check_handing(trigger, old, what);
}

/*
 * Who may signal backends may do anything, also with rows that cannot be read; the
 * lock is taken whether the row acts or not, because it may be such a one.
 */
void
pm_acting_check_row(const TriggerData *trigger)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		take_lock(trigger->tg_relation, ActingLock);
	else
		check_row_of_others(trigger);
}

/* Before rows are counted: nobody else adds any until the end of the transaction. */
void
pm_acting_lock_number(Relation table)
{
	take_lock(table, HandingLock);
}

/* Before TRUNCATE, which holds AccessExclusiveLock: nobody else writes. */
void
pm_acting_check_truncate(const TriggerData *trigger)
{
	Search	   *search;

	if (has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		return;
	search = palloc0(sizeof(Search));
	pm_columns_find(&search->columns, RelationGetDescr(trigger->tg_relation));
	pm_table_scan_now(trigger->tg_relation, look_at_row, search);
	if (search->found)
		deny("truncate the table with", search->row.pool.name, search->row.pool.name);
	pfree(search);
}
