/*
 * verdicts.c
 *		Which roles' sessions are never retired: superusers', and those of
 *		protected_roles and their members.
 *
 * Anybody with CREATEROLE can make a role a member of a hundred thousand others,
 * and change that all the time, so nothing here may take as long as there are
 * roles. Three things see to it:
 *
 *		A verdict is remembered for each role, until the server tells that a role
 *		or a membership has changed anywhere.
 *		What a role is a member of is walked through one role at a time. A walk that
 *		takes longer than WALK_SLICE is cut off and kept, one of them at a time, and
 *		goes on when it is asked for again.
 *		The worker says how long it can spare, pm_verdicts_begin(). When that time
 *		is used up, or a catalog is locked, a role that is not known is a protected
 *		one until the next time. A verdict that keeps sessions holds for
 *		KEPT_FOR then, one of a walk that was cut off for CUT_OFF_FOR, so that under
 *		steady changes each look knows more than the last one, and not the same
 *		again; and that those with many memberships leave time for the others.
 *
 * So a role that nobody has come to the end of is never retired; and one that was
 * granted is known as soon as the grant is: "may be retired" is never older than
 * the last change of any role or membership that this process has heard of. Just
 * before it asks a session, a process listens once more: pm_verdict_anew().
 *
 * Without an index
 * ----------------
 * A process without a database has the shared catalogs' indexes only if it found the
 * server's file of them when it started, which the first one does not: so mostly the
 * worker has none. Then all memberships are read at once, into memory, for all walks
 * until something changes. This cannot be cut off, and takes as long as there are
 * memberships; so that the worker has time for other things, it is not done again
 * before READ_SHARE times as long has passed. When memberships change faster than all
 * of them can be read, that worker retires nobody, of whatever role, until they change
 * less.
 *
 * The server's own functions for this are not used: they build the whole list of a
 * role's memberships, in time that grows with the square of it, remember that of
 * one role, and leave each row they saw in this process's memory for good.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/guc.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "retire/verdicts.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#define MOST_VERDICTS	10000	/* when there are more, all are forgotten */
#define MOST_WALKED		100000	/* roles in one walk; more: protected */
#define WALK_SLICE		5		/* ms; of one role in one look */
#define CUT_OFF_FOR		1000	/* ms */
#define KEPT_FOR		10000	/* ms */
#define LOOKS			3		/* until no change comes in between */
#define READ_SHARE		10		/* of the time, one in so many is spent
								 * reading all */
#define MOST_MEMBERSHIPS 2000000	/* read so; more: all roles are protected */

typedef struct Verdict
{
	Oid			role;
	PmReason	reason;
	uint64		generation;		/* in which it was found; 0: cut off */
	int64		at;				/* ms, monotonic */
	char		status;
} Verdict;

typedef struct SeenRole
{
	Oid			role;
	char		status;
} SeenRole;

#define SH_PREFIX verdicts
#define SH_ELEMENT_TYPE Verdict
#define SH_KEY_TYPE Oid
#define SH_KEY role
#define SH_HASH_KEY(table, k) murmurhash32(k)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

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

typedef struct Membership
{
	Oid			member;
	Oid			role;
}			Membership;

/* All memberships, where there is no index. */
typedef struct Memberships
{
	MemoryContext context;		/* they live in; NULL: there are none */
	uint64		generation;		/* in which they were read */
	Membership *rows;
	int			n;
	int			room;
}			Memberships;

/*
 * The walk up from a role through all that it is a member of. It is at rest
 * between two steps: one that an error ended is taken again.
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

static verdicts_hash *verdicts = NULL;
static MemoryContext memory = NULL;
static uint64 generation = 1;	/* moves when any role or membership changes */
static Walk *kept_walk = NULL;	/* cut off */
static Memberships memberships =
{
	0
};
static int64 next_read = 0;		/* ms, monotonic: of memberships */

/* protected_roles as these were found, and when */
static char *protected_setting = NULL;
static Oid *protected_roles = NULL;
static int	nprotected = 0;
static uint64 protected_generation = 0;

/* of the time since pm_verdicts_begin() */
static bool limited = false;
static int64 deadline = 0;		/* ms, monotonic */
static bool lock_tried = false;
static bool locked = false;
static bool put_off = false;

/* ---- what this process is told ---- */

static void
note_change(Datum arg, int cache, uint32 hash)
{
	generation++;
}

/*
 * Once in a process. Changes of shared catalogs are told to everybody, also to a
 * process without a database.
 */
static void
start(void)
{
	if (verdicts != NULL)
		return;
	memory = AllocSetContextCreate(TopMemoryContext, "pool_monitor roles", ALLOCSET_DEFAULT_SIZES);
	CacheRegisterSyscacheCallback(AUTHOID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, note_change, (Datum) 0);
	verdicts = verdicts_create(memory, 64, NULL);
}

/* ---- protected_roles ---- */

/* The names in protected_roles, in a copy that lives as long as they do. */
static List *
protected_names(void)
{
	List	   *names = NIL;

	/* the setting's check has seen to it that it can be split */
	(void) SplitIdentifierString(pstrdup(pm_protected_roles), ',', &names);
	return names;
}

static void
forget_kept_walk(void)
{
	Walk	   *walk = kept_walk;

	kept_walk = NULL;
	if (walk != NULL)
		MemoryContextDelete(walk->context);
}

/* The setting has changed: nothing that was found by the former one holds. */
static void
note_setting(void)
{
	if (protected_setting != NULL && strcmp(protected_setting, pm_protected_roles) == 0)
		return;
	verdicts_reset(verdicts);
	forget_kept_walk();
	protected_generation = 0;
	if (protected_setting != NULL)
		pfree(protected_setting);
	protected_setting = NULL;
	protected_setting = MemoryContextStrdup(memory, pm_protected_roles);
}

/* As many look-ups as there are names in the setting. */
static void
find_protected_roles(void)
{
	List	   *names = protected_names();
	uint64		found_in = generation;
	int			n = 0;
	ListCell   *cell;
	Oid		   *roles = MemoryContextAlloc(memory, sizeof(Oid) * (list_length(names) + 1));

	foreach(cell, names)
	{
		roles[n] = get_role_oid((char *) lfirst(cell), true);
		n += OidIsValid(roles[n]);
	}
	if (protected_roles != NULL)
		pfree(protected_roles);
	protected_roles = roles;
	nprotected = n;
	protected_generation = found_in;
}

static bool
is_named(Oid role)
{
	for (int i = 0; i < nprotected; i++)
	{
		if (protected_roles[i] == role)
			return true;
	}
	return false;
}

/* ---- the walk ---- */

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

	for (int i = 0; i < memberships.n && walk->n <= MOST_WALKED; i++)
	{
		if (seen_lookup(walk->seen, memberships.rows[i].member) != NULL)
			add_role(walk, memberships.rows[i].role);
	}
	if (walk->n == before)
		walk->next = walk->n;
}

/* ---- memberships without an index ---- */

static void
forget_memberships(void)
{
	MemoryContext context = memberships.context;

	memset(&memberships, 0, sizeof(memberships));
	if (context != NULL)
		MemoryContextDelete(context);
}

static void
keep_membership(Form_pg_auth_members row)
{
	if (memberships.n == memberships.room)
	{
		memberships.rows = repalloc_huge(memberships.rows, sizeof(Membership) * memberships.room * 2);
		memberships.room *= 2;
	}
	memberships.rows[memberships.n].member = row->member;
	memberships.rows[memberships.n++].role = row->roleid;
}

/* Of no generation until it is through, so that what an error ended is not used. */
static void
read_memberships(void)
{
	uint64		read_in = generation;
	Relation	members;
	HeapTuple	row;
	SysScanDesc scan;

	forget_memberships();
	memberships.context = AllocSetContextCreate(memory, "pool_monitor all memberships", ALLOCSET_DEFAULT_SIZES);
	memberships.room = 1024;
	memberships.rows = MemoryContextAlloc(memberships.context, sizeof(Membership) * memberships.room);
	members = table_open(AuthMemRelationId, AccessShareLock);
	scan = systable_beginscan(members, InvalidOid, false, NULL, 0, NULL);
	while (memberships.n < MOST_MEMBERSHIPS && HeapTupleIsValid(row = systable_getnext(scan)))
		keep_membership((Form_pg_auth_members) GETSTRUCT(row));
	systable_endscan(scan);
	table_close(members, AccessShareLock);
	if (memberships.n < MOST_MEMBERSHIPS)
		memberships.generation = read_in;
}

/*
 * Are all memberships there as they are now? Reads them if it is time to. What this
 * takes is not taken from the time for the walks.
 */
static bool
have_memberships(void)
{
	int64		begin = pm_monotonic_ms();
	int64		took;

	if (memberships.generation == generation)
		return true;
	if (limited && begin < next_read)
		return false;
	/* also if it fails */
	next_read = begin + CUT_OFF_FOR;
	read_memberships();
	took = pm_monotonic_ms() - begin;
	next_read = begin + took * READ_SHARE;
	deadline += took;
	return memberships.generation == generation;
}

/*
 * Locks the catalogs for the rest of the transaction, so that nothing below waits
 * for somebody who rewrites one; false when that cannot be had at once.
 */
static bool
lock_catalogs(void)
{
	static const Oid catalogs[] = {
		AuthIdRelationId, AuthIdOidIndexId, AuthIdRolnameIndexId, AuthMemRelationId, AuthMemMemRoleIndexId
	};

	for (size_t i = 0; i < lengthof(catalogs); i++)
	{
		if (!ConditionalLockRelationOid(catalogs[i], AccessShareLock))
			return false;
	}
	return true;
}

/*
 * Says in the log which of protected_roles do not exist: they protect nobody.
 * Called by the worker when it starts and after each reload. Needs no database. False
 * when somebody holds a lock on a catalog: nobody is waited for.
 */
bool
pm_check_protected_roles(void)
{
	MemoryContext caller = CurrentMemoryContext;
	ListCell   *cell;
	bool		looked;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	looked = lock_catalogs();
	foreach(cell, looked ? protected_names() : NIL)
	{
		const char *name = lfirst(cell);

		if (!OidIsValid(get_role_oid(name, true)))
			ereport(LOG,
					(errmsg("role \"%s\" in \"pool_monitor.protected_roles\" does not exist", name),
					 errhint("Names are folded to lower case unless they are in double quotes.")));
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return looked;
}

/* May more be looked up? */
static bool
have_time(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!limited)
		return true;
	if (!lock_tried)
		locked = lock_catalogs();
	lock_tried = true;
	return locked && pm_monotonic_ms() < deadline;
}

/* True when the walk has come to its end; *reason is what it has found. */
static bool
walk_on(Walk *walk, PmReason *reason)
{
	int64		slice_end = pm_monotonic_ms() + WALK_SLICE;

	*reason = PM_REASON_PROTECTED;
	for (;;)
	{
		while (walk->checked < walk->n)
		{
			if (is_named(walk->roles[walk->checked]))
				return true;
			walk->checked++;
		}
		if (walk->n > MOST_WALKED)
			return true;
		if (walk->next == walk->n)
			break;
		if (!have_time() || (limited && pm_monotonic_ms() >= slice_end))
			return false;
		if (criticalSharedRelcachesBuilt)
			step_by_index(walk);
		else
			step_through_all(walk);
	}
	*reason = PM_REASON_NONE;
	return true;
}

/* Of several that were cut off, the one that is asked for goes on. */
static void
keep_walk(Walk *walk)
{
	int64		now = pm_monotonic_ms();

	if (walk != kept_walk && kept_walk != NULL && kept_walk->generation == generation &&
		now - kept_walk->kept_at < KEPT_FOR)
	{
		MemoryContextDelete(walk->context);
		return;
	}
	if (walk != kept_walk)
	{
		forget_kept_walk();
		MemoryContextSetParent(walk->context, memory);
		kept_walk = walk;
	}
	walk->kept_at = now;
}

/* ---- verdicts ---- */

static void
remember(Oid role, PmReason reason, uint64 found_in)
{
	bool		found;
	Verdict    *verdict;

	if (verdicts->members >= MOST_VERDICTS)
		verdicts_reset(verdicts);
	verdict = verdicts_insert(verdicts, role, &found);
	verdict->reason = reason;
	verdict->generation = found_in;
	verdict->at = pm_monotonic_ms();
}

static bool
holds(const Verdict *verdict)
{
	if (verdict->generation == generation)
		return true;
	return limited && verdict->reason != PM_REASON_NONE &&
		pm_monotonic_ms() - verdict->at < (verdict->generation == 0 ? CUT_OFF_FOR : KEPT_FOR);
}

/* Is it protected? False: that is not known yet. */
static bool
look_up_memberships(Oid role, uint64 found_in)
{
	bool		goes_on = kept_walk != NULL && kept_walk->role == role && kept_walk->generation == generation;
	Walk	   *walk;
	PmReason	reason;

	if (!criticalSharedRelcachesBuilt && !have_memberships())
		return false;
	walk = goes_on ? kept_walk : new_walk(role, found_in);
	if (!walk_on(walk, &reason))
	{
		remember(role, PM_REASON_PROTECTED, 0);
		keep_walk(walk);
		return false;
	}
	remember(role, reason, walk->generation);
	if (goes_on)
		forget_kept_walk();
	else
		MemoryContextDelete(walk->context);
	return true;
}

/* False: not now. */
static bool
look_up(Oid role)
{
	uint64		found_in;

	if (!have_time())
		return false;
	if (protected_generation != generation)
		find_protected_roles();
	/* not of now: a change may have come between two names */
	found_in = protected_generation;
	if (superuser_arg(role))
	{
		remember(role, PM_REASON_SUPERUSER, found_in);
		return true;
	}
	if (nprotected == 0)
	{
		remember(role, PM_REASON_NONE, found_in);
		return true;
	}
	return look_up_memberships(role, found_in);
}

/*
 * From now on, and until it is called again, look-ups may take so many ms in all;
 * negative: as long as they need. In a transaction, at its beginning.
 */
void
pm_verdicts_begin(int64 budget_ms)
{
	start();
	limited = budget_ms >= 0;
	deadline = pm_monotonic_ms() + budget_ms;
	lock_tried = false;
	put_off = false;
	note_setting();
}

/* Was anybody taken for protected because there was no time to look? */
bool
pm_verdicts_put_off(void)
{
	return put_off;
}

/*
 * Why the role's sessions are never retired, PM_REASON_NONE if they may be. In a
 * transaction, after pm_verdicts_begin(). What does not hold any more when it is
 * found, because a change was heard of meanwhile, is looked up again.
 */
PmReason
pm_verdict(Oid role)
{
	for (int i = 0; i <= LOOKS; i++)
	{
		Verdict    *verdict = verdicts_lookup(verdicts, role);

		if (verdict != NULL && holds(verdict))
			return verdict->reason;
		if (i == LOOKS || !look_up(role))
			break;
	}
	put_off = true;
	return PM_REASON_PROTECTED;
}

/*
 * The same of a session that is about to be asked, by the role it logged in with and
 * the one it acts as: listens for changes before. In a transaction, after
 * pm_verdicts_begin().
 */
PmReason
pm_verdict_anew(Oid login_role, Oid role)
{
	PmReason	reason;

	AcceptInvalidationMessages();
	reason = pm_verdict(login_role);
	if (reason == PM_REASON_NONE && OidIsValid(role) && role != login_role)
		reason = pm_verdict(role);
	return reason;
}
