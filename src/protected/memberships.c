/*
 * memberships.c
 *		All memberships of roles in memory, for a process that has no index.
 *
 * A process without a database has the shared catalogs' indexes only if it found the
 * server's file of them when it started, which the first one does not: so mostly the
 * worker has none. Then all memberships are read, for all walks until something changes.
 *
 * There may be millions, and dead rows between them, so they are read in slices, one in a
 * look: SLICE_BLOCKS at the most, fewer when the time for look-ups is over, but never less
 * than a piece. Between two slices neither transaction, lock nor snapshot is held, but the
 * block is remembered to go on from. What was read is of one state only if no role or
 * membership has changed meanwhile, because a change may be in a block that was read
 * already; so any change has all read anew, and until a read has come to its end nothing is
 * known and everybody is protected. So that the worker has time for other things, the next
 * slice is not read before READ_SHARE times as long has passed. When memberships change
 * faster than all of them can be read, that worker retires nobody, of whatever role, until
 * they change less.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "base/clock.h"
#include "catalog/pg_auth_members.h"
#include "protected/lookups.h"
#include "protected/memberships.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define READ_SHARE		10		/* of the time, one in so many is spent
								 * reading all */
#define FAILED_FOR		1000	/* ms; until they are read again */
#define PIECE_BLOCKS	64
#define SLICE_BLOCKS	512		/* some 90,000 memberships */
#define MOST_MEMBERSHIPS 2000000	/* more: all roles are protected */

typedef struct Memberships
{
	MemoryContext context;		/* they live in; NULL: there are none */
	uint64		generation;		/* in which they were read; 0: not to the end */
	uint64		reading_in;		/* the one in which that began */
	BlockNumber next;			/* block to go on from */
	int			slices;
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

static void
start_reading(uint64 generation)
{
	forget_all();
	memberships.context = AllocSetContextCreate(TopMemoryContext, "pool_monitor all memberships", ALLOCSET_DEFAULT_SIZES);
	memberships.room = 1024;
	memberships.rows = MemoryContextAlloc(memberships.context, sizeof(PmMembership) * memberships.room);
	memberships.reading_in = generation;
}

/* What an error has ended is read again: twice the same is no harm. */
static void
read_piece(Relation members, Snapshot snapshot, BlockNumber blocks)
{
	TableScanDesc scan = table_beginscan_strat(members, snapshot, 0, NULL, true, false);
	HeapTuple	row;

	heap_setscanlimits(scan, memberships.next, blocks);
	while (memberships.n < MOST_MEMBERSHIPS && (row = heap_getnext(scan, ForwardScanDirection)) != NULL)
		keep((Form_pg_auth_members) GETSTRUCT(row));
	table_endscan(scan);
	memberships.next += blocks;
}

/* Until the slice is over; true when all are read. */
static bool
read_pieces(Relation members, Snapshot snapshot)
{
	BlockNumber end = RelationGetNumberOfBlocks(members);
	BlockNumber left = pm_lookups_limited() ? SLICE_BLOCKS : end;

	while (memberships.next < end && memberships.n < MOST_MEMBERSHIPS)
	{
		BlockNumber blocks = Min(PIECE_BLOCKS, end - memberships.next);

		read_piece(members, snapshot, blocks);
		left -= Min(left, blocks);
		if (left == 0 || !pm_lookups_have_time())
			break;
	}
	return memberships.next >= end && memberships.n < MOST_MEMBERSHIPS;
}

/* Of no generation until it is through. */
static void
read_slice(void)
{
	Relation	members = table_open(AuthMemRelationId, AccessShareLock);
	uint64		generation = pm_roles_generation(); /* heard of with the lock */
	Snapshot	snapshot;

	if (memberships.context == NULL || memberships.reading_in != generation ||
		memberships.n >= MOST_MEMBERSHIPS)
		start_reading(generation);
	memberships.slices++;
	snapshot = RegisterSnapshot(GetCatalogSnapshot(AuthMemRelationId));
	if (read_pieces(members, snapshot))
	{
		memberships.generation = generation;
		ereport(DEBUG1,
				(errmsg_internal("pool_monitor has read %d memberships in %d slices", memberships.n, memberships.slices)));
	}
	UnregisterSnapshot(snapshot);
	table_close(members, AccessShareLock);
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
	read_slice();
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
