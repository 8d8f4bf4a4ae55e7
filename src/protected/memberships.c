/*
 * memberships.c
 *		All memberships of roles in memory, for a process that has no index.
 *
 * A process without a database has the shared catalogs' indexes only if it found the
 * server's file of them when it started, which the first one does not: so mostly the
 * worker has none. Then all memberships are read at once, for all walks until
 * something changes. This cannot be cut off, and takes as long as there are
 * memberships; so that the worker has time for other things, it is not done again
 * before READ_SHARE times as long has passed. When memberships change faster than all
 * of them can be read, that worker retires nobody, of whatever role, until they change
 * less.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/clock.h"
#include "catalog/pg_auth_members.h"
#include "protected/lookups.h"
#include "protected/memberships.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define READ_SHARE		10		/* of the time, one in so many is spent
								 * reading all */
#define FAILED_FOR		1000	/* ms; until they are read again */
#define MOST_MEMBERSHIPS 2000000	/* more: all roles are protected */

typedef struct Memberships
{
	MemoryContext context;		/* they live in; NULL: there are none */
	uint64		generation;		/* in which they were read */
	PmMembership *rows;
	int			n;
	int			room;
} Memberships;

static Memberships memberships = {0};
static int64 next_read = 0;		/* ms, monotonic */

static void
forget_all(void)
{
	MemoryContext context = memberships.context;

	memset(&memberships, 0, sizeof(memberships));
	if (context != NULL)
		MemoryContextDelete(context);
}

static void
keep(Form_pg_auth_members row)
{
	if (memberships.n == memberships.room)
	{
		memberships.rows = repalloc_huge(memberships.rows, sizeof(PmMembership) * memberships.room * 2);
		memberships.room *= 2;
	}
	memberships.rows[memberships.n].member = row->member;
	memberships.rows[memberships.n++].role = row->roleid;
}

/* Of no generation until it is through, so that what an error ended is not used. */
static void
read_all(void)
{
	uint64		read_in = pm_roles_generation();
	Relation	members;
	HeapTuple	row;
	SysScanDesc scan;

	forget_all();
	memberships.context = AllocSetContextCreate(TopMemoryContext, "pool_monitor all memberships", ALLOCSET_DEFAULT_SIZES);
	memberships.room = 1024;
	memberships.rows = MemoryContextAlloc(memberships.context, sizeof(PmMembership) * memberships.room);
	members = table_open(AuthMemRelationId, AccessShareLock);
	scan = systable_beginscan(members, InvalidOid, false, NULL, 0, NULL);
	while (memberships.n < MOST_MEMBERSHIPS && HeapTupleIsValid(row = systable_getnext(scan)))
		keep((Form_pg_auth_members) GETSTRUCT(row));
	systable_endscan(scan);
	table_close(members, AccessShareLock);
	if (memberships.n < MOST_MEMBERSHIPS)
		memberships.generation = read_in;
}

/* What reading takes is not taken from the time for the walks. */
bool
pm_memberships_ready(void)
{
	int64		begin = pm_monotonic_ms();
	int64		took;

	if (memberships.generation == pm_roles_generation())
		return true;
	if (pm_lookups_limited() && begin < next_read)
		return false;
	/* also if it fails */
	next_read = begin + FAILED_FOR;
	read_all();
	took = pm_monotonic_ms() - begin;
	next_read = begin + took * READ_SHARE;
	pm_lookups_extend(took);
	return memberships.generation == pm_roles_generation();
}

const PmMembership *
pm_memberships(int *n)
{
	*n = memberships.n;
	return memberships.rows;
}
