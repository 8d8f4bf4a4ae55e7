/*
 * reserves.c
 *		Do the reserves together leave enough to those who have none?
 *
 * What pools with guard enforce have reserved nobody else may take. So that an administrator,
 * a backup or monitoring still get in, PM_LEFT_TO_OTHERS of the usable connections stay
 * anybody's: a statement that reserves more than that is refused at its end. It looks at all
 * rows, also at those that max_pools leaves without effect: they have one as soon as it is
 * raised.
 *
 * Two transactions could each be right alone. So who raises a reserve waits for others who do,
 * until the end of their transactions, by a lock of its own: ActingLock (acting.c), which all
 * of them have by then, does not conflict with itself, and to raise it there would be a
 * deadlock for each two of them. Only who may write rows that act comes to it, and nobody
 * waits who lowers a reserve, or has nothing to do with any: what another transaction lowers,
 * and may yet roll back, counts as it was.
 *
 * Logical replication fires triggers for rows only, and this server, or one that the table is
 * copied to, may have fewer connections by then: the load looks at the sum again.
 */
#include "postgres.h"

#include "base/guc.h"
#include "pools/acting.h"
#include "pools/reserves.h"
#include "pools/rows.h"
#include "pools/table.h"
#include "utils/rel.h"

static bool raised = false;		/* by the statement under way */

/* All rows of the table; those that cannot be read are not in force. */
typedef struct Sum
{
	PmColumns	columns;
	PmDeclaration row;
	int64		reserved;
} Sum;

static bool
add_row(HeapTuple tuple, void *arg)
{
	Sum		   *sum = arg;

	if (pm_row_is_good(&sum->columns, tuple, &sum->row))
		sum->reserved += pm_reserve_in_force(&sum->row.pool);
	return true;
}

static int64
reserve_of(Sum *sum, HeapTuple tuple)
{
	sum->reserved = 0;
	add_row(tuple, sum);
	return sum->reserved;
}

/* From the trigger for each row: is more reserved by it than was before? */
void
pm_reserves_note_row(const TriggerData *trigger)
{
	bool		inserted = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	Sum		   *sum;

	if (raised || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return;
	sum = palloc(sizeof(Sum));
	if (pm_columns_are_good(&sum->columns, RelationGetDescr(trigger->tg_relation)))
		raised = reserve_of(sum, inserted ? trigger->tg_trigtuple : trigger->tg_newtuple) >
			(inserted ? 0 : reserve_of(sum, trigger->tg_trigtuple));
	pfree(sum);
}

void
pm_reserves_forget(void)
{
	raised = false;
}

static void
refuse(int64 reserved, int usable)
{
	int			most = Max(usable - PM_LEFT_TO_OTHERS, 0);

	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the pools with guard enforce reserve %lld connections, but at most %d of the %d usable ones can be reserved",
					(long long) reserved, most, usable),
			 errdetail("%d connections are left to those who have none reserved, so that nobody is locked out.",
					   PM_LEFT_TO_OTHERS),
			 errhint("Lower \"reserved\" of these pools by %lld together, set their guard to report, or raise \"max_connections\".",
					 (long long) reserved - most)));
}

/* At the statement's end. */
void
pm_reserves_check(Relation table)
{
	Sum		   *sum;

	if (!raised)
		return;
	raised = false;
	pm_acting_lock_reserves(table);
	sum = palloc0(sizeof(Sum));
	if (pm_columns_are_good(&sum->columns, RelationGetDescr(table)))
		pm_table_scan_now(table, add_row, sum);
	if (sum->reserved > pm_usable_connections() - PM_LEFT_TO_OTHERS)
		refuse(sum->reserved, pm_usable_connections());
	pfree(sum);
}
