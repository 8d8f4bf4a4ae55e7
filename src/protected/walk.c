/*
 * walk.c
 *		Is a role a protected one, or a member of one?
 *
 * What a role is a member of is walked through one role at a time. A walk that
 * takes longer than WALK_SLICE is cut off and kept, one of them at a time, and
 * goes on when it is asked for again.
 *
 * The server's own functions for this are not used: they build the whole list of a
 * role's memberships, in time that grows with the square of it, remember that of
 * one role, and leave each row they saw in this process's memory for good.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/clock.h"
#include "catalog/pg_auth_members.h"
#include "common/hashfn.h"
#include "protected/lookups.h"
#include "protected/memberships.h"
#include "protected/names.h"
#include "protected/walk.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#define MOST_WALKED		100000	/* roles in one walk; more: protected */
#define WALK_SLICE		5		/* ms; of one role in one look */
#define KEPT_FOR		10000	/* ms; before it gives way to another one */

typedef struct SeenRole
{
	Oid			role;
	char		status;
} SeenRole;

#define SH_PREFIX seen
#define SH_ELEMENT_TYPE SeenRole
#define SH_KEY_TYPE Oid
#define SH_KEY role
#define SH_HASH_KEY(table, k) murmurhash32(k)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * The walk up from a role through all that it is a member of. One that an error ends goes
 * with what is under way: seen may be half grown then.
 */
typedef struct Walk
{
	MemoryContext context;		/* it lives in */
	Oid			role;
	uint64		generation;		/* in which it began */
	int64		kept_at;		/* ms, monotonic */
	seen_hash  *seen;
	Oid		   *roles;			/* those in seen, in the order they were met */
	int			n;
	int			room;
	int			checked;		/* the first that may be a protected one */
	int			next;			/* the first whose memberships are not read;
								 * n: the walk is over */
} Walk;

static Walk *kept_walk = NULL;	/* cut off */

void
pm_walk_forget(void)
{
	Walk	   *walk = kept_walk;

	kept_walk = NULL;
	if (walk != NULL)
		MemoryContextDelete(walk->context);
}

static void
add_role(Walk *walk, Oid role)
{
	bool		found;

	/* first, because it may fail: what is in seen is in roles */
	if (walk->n == walk->room)
	{
		walk->roles = repalloc(walk->roles, sizeof(Oid) * walk->room * 2);
		walk->room *= 2;
	}
	seen_insert(walk->seen, role, &found);
	if (!found)
		walk->roles[walk->n++] = role;
}

/* In a memory context of its own, under the current one. */
static Walk *
new_walk(Oid role, uint64 began_in)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor memberships", ALLOCSET_SMALL_SIZES);
	Walk	   *walk = MemoryContextAllocZero(context, sizeof(Walk));

	walk->context = context;
	walk->role = role;
	walk->generation = began_in;
	walk->seen = seen_create(context, 16, NULL);
	walk->room = 16;
	walk->roles = MemoryContextAlloc(context, sizeof(Oid) * walk->room);
	add_role(walk, role);
	return walk;
}

/* Reads what the next role is a member of. */
static void
step_by_index(Walk *walk)
{
	Relation	members = table_open(AuthMemRelationId, AccessShareLock);
	HeapTuple	row;
	ScanKeyData key;
	SysScanDesc scan;

	ScanKeyInit(&key, Anum_pg_auth_members_member, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(walk->roles[walk->next]));
	scan = systable_beginscan(members, AuthMemMemRoleIndexId, true, NULL, 1, &key);
	while (walk->n <= MOST_WALKED && HeapTupleIsValid(row = systable_getnext(scan)))
		add_role(walk, ((Form_pg_auth_members) GETSTRUCT(row))->roleid);
	systable_endscan(scan);
	table_close(members, AccessShareLock);
	walk->next++;
}

/*
 * Goes through all memberships once, and adds those of what is known to be a role of
 * the walk by then. It is over when that was nothing new.
 */
static void
step_through_all(Walk *walk)
{
	int			before = walk->n;
	int			n;
	const PmMembership *all = pm_memberships(&n);

	for (int i = 0; i < n && walk->n <= MOST_WALKED; i++)
	{
		if (seen_lookup(walk->seen, all[i].member) != NULL)
			add_role(walk, all[i].role);
	}
	if (walk->n == before)
		walk->next = walk->n;
}

/* True when the walk has come to its end. */
static bool
walk_on(Walk *walk, bool *is_protected)
{
	int64		slice_end = pm_monotonic_ms() + WALK_SLICE;

	*is_protected = true;
	for (;;)
	{
		while (walk->checked < walk->n)
		{
			if (pm_protected_is_named(walk->roles[walk->checked]))
				return true;
			walk->checked++;
		}
		if (walk->n > MOST_WALKED)
			return true;
		if (walk->next == walk->n)
			break;
		if (!pm_lookups_have_time() || (pm_lookups_limited() && pm_monotonic_ms() >= slice_end))
			return false;
		if (criticalSharedRelcachesBuilt)
			step_by_index(walk);
		else
			step_through_all(walk);
	}
	*is_protected = false;
	return true;
}

/* Of several that were cut off, the one that is asked for goes on. */
static void
keep_walk(Walk *walk)
{
	int64		now = pm_monotonic_ms();

	if (kept_walk != NULL && kept_walk->generation == pm_roles_generation() && now - kept_walk->kept_at < KEPT_FOR)
	{
		MemoryContextDelete(walk->context);
		return;
	}
	pm_walk_forget();
	MemoryContextSetParent(walk->context, TopMemoryContext);
	walk->kept_at = now;
	kept_walk = walk;
}

/* Like one that has just begun: under the current memory context. */
static Walk *
take_kept(void)
{
	Walk	   *walk = kept_walk;

	kept_walk = NULL;
	MemoryContextSetParent(walk->context, CurrentMemoryContext);
	return walk;
}

PmWalkEnd
pm_walk(Oid role, uint64 *generation, bool *is_protected)
{
	Walk	   *walk;

	if (!criticalSharedRelcachesBuilt && !pm_memberships_ready())
		return PM_WALK_NOT_BEGUN;
	if (kept_walk != NULL && kept_walk->role == role && kept_walk->generation == pm_roles_generation())
		walk = take_kept();
	else
		walk = new_walk(role, *generation);
	*generation = walk->generation;
	if (!walk_on(walk, is_protected))
	{
		keep_walk(walk);
		return PM_WALK_CUT_OFF;
	}
	MemoryContextDelete(walk->context);
	return PM_WALK_OVER;
}
