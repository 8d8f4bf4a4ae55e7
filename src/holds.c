/*
 * holds.c
 *		Writes a session's transactions down on its sheet.
 *
 * A transaction holds its connection from its start, which is when its first
 * statement arrived, to its end. Some statements (VACUUM, CREATE INDEX
 * CONCURRENTLY) run several transactions that all claim to have started with
 * the statement: a hold never begins before the last one ended.
 *
 * A block that fails ends inside the server at the error, but the client has the
 * connection until it says ROLLBACK, and no callback tells of that. So the hold
 * of a block that was begun by BEGIN is kept aside at the error, and written down
 * when the ROLLBACK (or COMMIT) comes by as a utility statement, or at the
 * latest with the next transaction. Its time counts as busy all along.
 *
 * The server also runs transactions for itself: while a session waits for its
 * client, to catch up with invalidations or to deliver notifications, and when
 * it ends, to drop temporary tables. They hold no connection from anybody.
 *
 * The times are the clock's, as the server keeps them; a clock that is set
 * falsifies the holds that are under way, never below 0.
 */
#include "postgres.h"

#include "access/xact.h"
#include "holds.h"
#include "libpq/libpq.h"
#include "nodes/parsenodes.h"
#include "shmem.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"

static PmSheet *sheet = NULL;	/* this session's, once it has begun */
static bool in_block = false;	/* begun by BEGIN, not ended */
static bool ending = false;		/* COMMIT or the like is under way */
static bool chained = false;	/* that one says AND CHAIN, in a block */
static bool rolls_back = false; /* that one is a ROLLBACK */
static bool failed_block = false;	/* failed, and not rolled back yet */
static int64 failed_hold = 0;	/* us, until it failed */
static uint32 resets_seen = 0;	/* the longest hold is counted from there */
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

/* The longest first: a reader that finds the bucket must find that too. */
static void
write_down(int64 hold)
{
	int			bucket = pm_bucket(hold);
	uint32		resets = pg_atomic_read_u32(&pm_shared->resets);

	if (hold > sheet->hold_max || resets != resets_seen)
		sheet->hold_max = hold;
	resets_seen = resets;
	pg_write_barrier();
	sheet->holds[bucket]++;
	sheet->octaves |= UINT64CONST(1) << (bucket / PM_OCTAVE_BUCKETS);
	pg_write_barrier();
	sheet->transactions++;
}

/* Busy until now, since the transaction's start or the last such call. */
static int64
busy_until_now(TimestampTz since)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		busy = Max(now - Max(since, sheet->last_end), 0);

	sheet->busy += busy;
	sheet->last_end = now;
	return busy;
}

/* The block that has failed is over, now or (late) when the next one ends. */
static void
end_failed_block(bool late)
{
	failed_block = false;
	if (!late)
		failed_hold += busy_until_now(sheet->last_end);
	write_down(failed_hold);
}

/*
 * Did no statement of the client begin the transaction under way? Such a one
 * claims to have begun with the last statement, whose transaction has ended. So
 * does the next one of a statement that runs several, but then its text is set;
 * and one after AND CHAIN, but that is in a block.
 */
static bool
began_by_itself(void)
{
	return !in_block && debug_query_string == NULL &&
		GetCurrentTransactionStartTimestamp() < sheet->last_end;
}

/*
 * Does the server run this transaction for itself? An error in a statement has
 * lost its text by now; one while the server reads may be of COPY, or its own.
 */
static bool
is_the_servers_own(XactEvent event)
{
	if (proc_exit_inprogress && event != XACT_EVENT_ABORT)
		return true;
	if (event == XACT_EVENT_ABORT && !proc_exit_inprogress && !pq_is_reading_msg())
		return false;
	return began_by_itself();
}

/* A transaction of this session has ended. */
void
pm_hold_end(XactEvent event)
{
	if (is_the_servers_own(event))
		return;
	if (failed_block)
		end_failed_block(true);
	if (event == XACT_EVENT_ABORT && in_block && !ending && !proc_exit_inprogress)
	{
		failed_block = true;
		failed_hold = busy_until_now(GetCurrentTransactionStartTimestamp());
	}
	else
	{
		write_down(busy_until_now(GetCurrentTransactionStartTimestamp()));
		in_block = ending && chained && (event == XACT_EVENT_COMMIT || rolls_back);
	}
	ending = false;
}

static bool
ends_block(const TransactionStmt *stmt)
{
	return stmt->kind == TRANS_STMT_COMMIT || stmt->kind == TRANS_STMT_ROLLBACK ||
		stmt->kind == TRANS_STMT_PREPARE;
}

static void
note_end_of_block(const TransactionStmt *stmt)
{
	chained = stmt->chain && in_block;
	rolls_back = stmt->kind == TRANS_STMT_ROLLBACK;
	if (failed_block && GetCurrentTransactionNestLevel() == 1)
	{
		end_failed_block(false);
		in_block = chained;
	}
	else
		ending = true;
}

static void
run_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_ProcessUtility_hook)
		prev_ProcessUtility_hook(pstmt, queryString, readOnlyTree, context,
								 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

/* The statement may be freed by running it: what matters is noted before. */
static void
watch_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	TransactionStmt *stmt = (TransactionStmt *) pstmt->utilityStmt;

	if (sheet != NULL && IsA(stmt, TransactionStmt) && ends_block(stmt))
	{
		note_end_of_block(stmt);
		PG_TRY();
		{
			run_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		}
		PG_CATCH();
		{
			/* another module refused it: nothing ends */
			ending = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	else
	{
		bool		begins = sheet != NULL && IsA(stmt, TransactionStmt) &&
		(stmt->kind == TRANS_STMT_BEGIN || stmt->kind == TRANS_STMT_START);

		run_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		in_block |= begins;
	}
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
	if (failed_block)
		end_failed_block(false);
	else if (IsTransactionOrTransactionBlock() && !began_by_itself())
		write_down(busy_until_now(GetCurrentTransactionStartTimestamp()));
	sheet = NULL;
}

void
pm_holds_install(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
