/*
 * acting.c
 *		Who may change declarations that retire sessions or refuse logins.
 *
 * A row that acts (columnlist.h says by which columns) ends other roles'
 * sessions, or keeps them out, so INSERT or UPDATE on the table must not be more than it is:
 * writing, changing or deleting such a row needs what pg_terminate_backend() needs, the
 * privileges of pg_signal_backend. So does whatever could hand sessions to one: a
 * session belongs to the first row that matches, so deleting a row, or changing
 * what or when it matches, gives its sessions to the rows after it. And so does what could
 * take sessions away from one that enforces a guard, whose limit is none for them: a new row
 * before it, or one that is moved there, but for one that surely takes no session that it
 * could. (Before a row that only retires anybody may take sessions away: they live.) Where a
 * row stands follows from that row alone, see pm_declaration_compare(): nobody moves one by
 * what he declares beside it.
 *
 * Where pool_monitor.undeclared_guard enforces a limit, it stands after all rows and takes
 * every session: then each row takes sessions away from it, and hands them to it.
 *
 * Two transactions could each be right alone: one deletes a row, the other declares
 * one after it that acts. So who writes a row that acts holds ActingLock until the
 * end of the transaction, and who must know that there is none holds HandingLock,
 * which conflicts. Rows that are too many push the last ones out of force, so who may not
 * end sessions must not add such: he holds it, too, when they are counted. Both are
 * heavyweight locks on an object of the extension's own:
 * the table's OID with a sub-id that no column has. Only the trigger takes them, so
 * only who may write to the table can make anybody wait, and only writers wait. That of
 * reserves.c has a sub-id of its own, and comes after ActingLock.
 */
#include "postgres.h"

#include "base/guc.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "pools/acting.h"
#include "pools/rows.h"
#include "pools/table.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/rel.h"

#define LOCK_SUBID			0x7001
#define RESERVES_SUBID		0x7002
#define ActingLock	RowExclusiveLock	/* conflicts with the next, not with
										 * itself */
#define HandingLock	ShareRowExclusiveLock	/* with both */

/* A search for a row that acts. */
typedef struct Search
{
	PmColumns	columns;
	const PmDeclaration *after; /* NULL: anywhere */
	bool		taking;			/* one that refuses logins, of sessions that
								 * the given one could take from it */
	bool		crowded;		/* whatever both match */
	PmDeclaration row;
	bool		found;
} Search;

static void
take_lock(Relation table, uint16 subid, LOCKMODE mode)
{
	LockDatabaseObject(RelationRelationId, RelationGetRelid(table), subid, mode);
}

static bool
enforces(const PmDeclaration *row)
{
	return row->pool.guard == PM_GUARD_ENFORCE;
}

static bool
look_at_row(HeapTuple tuple, void *arg)
{
	Search	   *search = arg;

	pm_row_read(&search->columns, tuple, &search->row);
	search->found = pm_declaration_acts(&search->row) &&
		(search->after == NULL || pm_declaration_compare(&search->row, search->after) > 0) &&
		(!search->taking ||
		 (enforces(&search->row) && (search->crowded || !pm_pools_apart(&search->row.pool, &search->after->pool))));
	return !search->found;
}

static const char *
what_it_does(const PmDeclaration *row)
{
	if (!enforces(row))
		return "retires sessions";
	return row->pool.recycle_mode == PM_RECYCLE_TERMINATE || row->pool.shrink_idle ?
		"retires sessions and refuses logins" : "refuses logins";
}

static void
deny(const char *what, const char *pool, const PmDeclaration *because)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s pool \"%s\"", what, pool),
			 errdetail("Pool \"%s\" %s by its %s.", because->pool.name, what_it_does(because), pm_declaration_acts_by(because)),
			 errhint("This needs the privileges of the role pg_signal_backend, also for a pool that comes before one that retires sessions or refuses logins.")));
}

/* Does what is in no pool have a limit, which any row lifts for what it matches? */
static bool
undeclared_has_limit(void)
{
	return pm_undeclared_is_limited();
}

static void
deny_for_undeclared(const char *what, const char *pool)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to %s pool \"%s\"", what, pool),
			 errdetail("\"pool_monitor.undeclared_guard\" refuses logins, and which ones it may is what pools match."),
			 errhint("This needs the privileges of the role pg_signal_backend.")));
}

/*
 * Caller holds HandingLock. Where there are too many rows, one pushes others out of force
 * whatever it matches: then it takes from all those after it.
 */
static void
check_after(const TriggerData *trigger, const PmDeclaration *row, bool takes, const char *what)
{
	Search	   *search = palloc0(sizeof(Search));

	pm_columns_find(&search->columns, RelationGetDescr(trigger->tg_relation));
	search->after = row;
	search->taking = takes;
	search->crowded = takes && pm_table_count_now(trigger->tg_relation) > pm_max_pools;
	pm_table_scan_now(trigger->tg_relation, look_at_row, search);
	if (search->found)
		deny(what, row->pool.name, &search->row);
	pfree(search);
}

/*
 * Would sessions of the old row, which is about to go, come to one that acts, or would the
 * new one take some from one that refuses logins?
 */
static void
check_order(const TriggerData *trigger, const PmDeclaration *old, const PmDeclaration *new, const char *what)
{
	if (undeclared_has_limit())
		deny_for_undeclared(what, old != NULL ? old->pool.name : new->pool.name);
	take_lock(trigger->tg_relation, LOCK_SUBID, HandingLock);
	if (old != NULL)
		check_after(trigger, old, false, what);
	if (new != NULL)
		check_after(trigger, new, true, what);
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
		deny(what, old->pool.name, old);
	if (new != NULL && pm_declaration_acts(new))
		deny(what, new->pool.name, new);
	if (old == NULL || new == NULL || !pm_declaration_matches_alike(old, new))
		check_order(trigger, old, new, what);
}

/*
 * Who may signal backends may do anything, also with rows that cannot be read; the
 * lock is taken whether the row acts or not, because it may be such a one.
 */
void
pm_acting_check_row(const TriggerData *trigger)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND))
		take_lock(trigger->tg_relation, LOCK_SUBID, ActingLock);
	else
		check_row_of_others(trigger);
}

/* Before rows are counted: nobody else adds any until the end of the transaction. */
void
pm_acting_lock_number(Relation table)
{
	take_lock(table, LOCK_SUBID, HandingLock);
}

/* Before reserves are added up: nobody else raises any until the end of the transaction. */
void
pm_acting_lock_reserves(Relation table)
{
	take_lock(table, RESERVES_SUBID, HandingLock);
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
		deny("truncate the table with", search->row.pool.name, &search->row);
	if (undeclared_has_limit() && search->row.pool.name[0] != '\0')
		deny_for_undeclared("truncate the table with", search->row.pool.name);
	pfree(search);
}
