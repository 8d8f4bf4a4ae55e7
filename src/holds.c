/*
 * holds.c
 *		Writes a session's transactions down on its sheet.
 *
 * A transaction holds its connection from its start, which is when its first
 * statement arrived, to its end. Some statements (VACUUM, CREATE INDEX
 * CONCURRENTLY) run several transactions that all claim to have started with
 * the statement: a hold never begins before the last one ended.
 *
 * A transaction block that fails ends inside the server at the error, but the
 * client has the connection until it says ROLLBACK, and no callback tells of
 * that. So a hold is written down at the error, and made longer when the
 * ROLLBACK (or COMMIT) comes by as a utility statement.
 *
 * The times are the clock's, as the server keeps them; a clock that is set
 * falsifies the holds that are under way, never below 0.
 */
#include "postgres.h"

#include "access/xact.h"
#include "holds.h"
#include "nodes/parsenodes.h"
#include "shmem.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"

static PmSheet *sheet = NULL;	/* this session's, once it has begun */
static int64 last_hold = 0;		/* us */
static uint32 resets_seen = 0;	/* the longest hold is counted from there */
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

static void
write_down(int64 hold)
{
	int			bucket = pm_bucket(hold);
	uint32		resets = pg_atomic_read_u32(&pm_shared->resets);

	sheet->holds[bucket]++;
	sheet->octaves |= UINT64CONST(1) << (bucket / PM_OCTAVE_BUCKETS);
	if (hold > sheet->hold_max || resets != resets_seen)
		sheet->hold_max = hold;
	resets_seen = resets;
	last_hold = hold;
}

/* A transaction of this session has ended. */
void
pm_hold_end(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		hold = Max(now - Max(GetCurrentTransactionStartTimestamp(), sheet->last_end), 0);

	write_down(hold);
	sheet->busy += hold;
	sheet->last_end = now;
	pg_write_barrier();
	sheet->transactions++;
}

/*
 * In a block that has failed? Not so when only a subtransaction has: then the
 * transaction itself has not ended.
 */
static bool
in_failed_block(void)
{
	return IsAbortedTransactionBlockState() && GetCurrentTransactionNestLevel() == 1;
}

/* The failed block that was written down last has gone on until now. */
static void
extend_last(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		more = Max(now - sheet->last_end, 0);

	sheet->holds[pm_bucket(last_hold)]--;
	write_down(last_hold + more);
	sheet->last_end = now;
	pg_write_barrier();
	sheet->busy += more;
}

static void
watch_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (sheet != NULL && IsA(pstmt->utilityStmt, TransactionStmt) && in_failed_block())
		extend_last();
	if (prev_ProcessUtility_hook)
		prev_ProcessUtility_hook(pstmt, queryString, readOnlyTree, context,
								 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

/* From now on; the login's own transaction is nobody's hold. */
void
pm_holds_begin(PmSheet *mine)
{
	mine->last_end = GetCurrentTimestamp();
	mine->hold_max = 0;			/* the former session's is in its account */
	sheet = mine;
}

/* The session ends: so does the transaction that it may still be in. */
void
pm_holds_finish(void)
{
	if (sheet == NULL)
		return;
	if (in_failed_block())
		extend_last();
	else if (IsTransactionOrTransactionBlock())
		pm_hold_end();
	sheet = NULL;
}

void
pm_holds_install(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
