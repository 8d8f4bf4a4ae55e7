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
 * The server also runs transactions for itself: in the login (triggers); while a
 * session waits for its client, to catch up with invalidations or to deliver
 * notifications; after a transaction of a session that listens, to deliver those
 * that are there already; and when it ends, to drop temporary tables. They hold no
 * connection from anybody, and are no use of the session. What tells them apart
 * must not be that a clock goes forward:
 *
 *	in the login		the session has not been idle yet, so it has no state
 *	while it waits		the server reads: no transaction of the client's commits
 *						between the bytes of a message
 *	after another one	no message of the client began it, so it claims to have
 *						begun with the statement of the one that has ended. Of
 *						what the client begins that holds only for the second
 *						transaction of one message: then its text is set (or, in a
 *						procedure, it claims to begin where the first ended), and
 *						for one after AND CHAIN, but that is in a block
 *
 * A report of the client's pool (client_report()) is no hold and no use either, or who
 * reports would never be idle: a transaction of one statement, which is a SELECT of that
 * alone, and which took no time worth a word. (What goes besides it by the fast-path
 * protocol is not seen.)
 *
 * The server keeps the start of a transaction by the wall clock alone. Where that
 * was set since the session's last transaction, the monotonic clock, of which we
 * have a stamp of that end, says which hold is possible: pm_hold_until().
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/clock.h"
#include "client/holds.h"
#include "client/listen.h"
#include "executor/executor.h"
#include "libpq/libpq.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "storage/ipc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#define LONGEST_REPORT	100000	/* us */

static PmSheet *sheet = NULL;	/* this session's, once it has begun */
static PmSlot *slot = NULL;		/* likewise */
static TimestampTz last_statement = 0;	/* when the one began that was under
										 * way at sheet->last_end */
static union
{
	struct
	{
		bool		ran_utility;	/* in the transaction under way: the
									 * client's */
		bool		in_block;	/* begun by BEGIN, not ended */
		bool		ending;		/* COMMIT or the like is under way */
		bool		failed;		/* the block has, and is not rolled back yet */
		bool		reported;	/* one of its statements was a report */
	}			is;
	uint64		any;			/* 0: statements by themselves */
}			xact = {.any = 0};

StaticAssertDecl(sizeof(xact.is) <= sizeof(xact.any), "any is all of them");

static bool chained = false;	/* what ends it says AND CHAIN, in a block */
static bool rolls_back = false; /* that one is a ROLLBACK */
static int64 failed_hold = 0;	/* us, until it failed */
static int	statements = 0;		/* of the transaction under way, and such
								 * utilities as do something */
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;

/* The client's use of the session ends for now. */
static void
note_end(TimestampTz now, int64 at)
{
	sheet->last_end = now;
	sheet->wall_ahead = now - at;
	slot->used_at = at;
	slot->only_reports = false;
	last_statement = GetCurrentStatementStartTimestamp();
}

/*
 * Now, while a transaction ends. Of a commit that has written nothing the server, 17 and
 * later (15 does not, 16 was not looked at), reads the clock once for all who ask, itself
 * among them. What has written is stamped before it waits for its WAL, or a standby; what
 * has failed may stay so for long. (Another module's callback before ours may have asked
 * first: then it is as late as that took.)
 */
static TimestampTz
now_at_end(XactEvent event)
{
	if (event == XACT_EVENT_COMMIT && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return GetCurrentTransactionStopTimestamp();
	return GetCurrentTimestamp();
}

/*
 * Busy until now, since the transaction's start or the last such call. By the wall clock; the
 * monotonic one shows whether that was set, for which its last tick will do. It errs backwards,
 * so nobody seems younger by it than he is.
 */
static inline int64
busy_until(TimestampTz now, TimestampTz since)
{
	int64		at = pm_monotonic_coarse_us();
	int64		busy = pm_hold_until(sheet, since, now, at);

	sheet->busy += busy;
	note_end(now, at);
	return busy;
}

/* The block that has failed is over, now or (late) when the next one ends. */
static pg_noinline void
end_failed_block(bool late)
{
	xact.is.failed = false;
	if (!late)
		failed_hold += busy_until(GetCurrentTimestamp(), 0);
	pm_sheet_write(sheet, failed_hold);
}

/* Did no message of the client begin the transaction under way? */
static bool
began_by_itself(void)
{
	return !xact.is.in_block && !xact.is.ran_utility && debug_query_string == NULL &&
		GetCurrentTransactionStartTimestamp() == last_statement;
}

/*
 * Does the server run this transaction for itself? An error in a statement has
 * lost its text by now; one while the server reads may be of COPY, or its own.
 */
static bool
is_the_servers_own(XactEvent event)
{
	if (event == XACT_EVENT_ABORT)
		return (proc_exit_inprogress || pq_is_reading_msg()) && began_by_itself();
	if (proc_exit_inprogress || pq_is_reading_msg())
		return true;
	if (MyBEEntry->st_state == STATE_UNDEFINED)
		return true;
	return pm_listening && began_by_itself();
}

/* Has the transaction that ends done nothing but report? */
static pg_noinline bool
was_a_report(XactEvent event)
{
	int64		took = GetCurrentTimestamp() - GetCurrentTransactionStartTimestamp();

	return xact.is.reported && statements == 1 && event == XACT_EVENT_COMMIT && !xact.is.failed &&
		!TransactionIdIsValid(GetTopTransactionIdIfAny()) && took >= 0 && took < LONGEST_REPORT;
}

/* Its end is none of the client's use of the session. */
static pg_noinline void
end_report(void)
{
	sheet->last_end = GetCurrentTimestamp();
	sheet->wall_ahead = sheet->last_end - pm_monotonic_coarse_us();
	last_statement = GetCurrentStatementStartTimestamp();
	slot->only_reports = true;
	xact.is.in_block = xact.is.ending && chained;
	xact.is.ending = xact.is.ran_utility = xact.is.reported = false;
	statements = 0;
}

/*
 * Does a plan that calls one function come from nothing but what the client wrote? A view
 * leaves its entry in the range table. Each function called is a dependency, and so is one
 * that was put in line and is there no more.
 */
static bool
is_as_written(const PlannedStmt *plan)
{
	ListCell   *lc;

	foreach(lc, plan->rtable)
	{
		if (((RangeTblEntry *) lfirst(lc))->rtekind != RTE_RESULT)
			return false;
	}
	return list_length(plan->invalItems) == 1 && plan->relationOids == NIL;
}

/* A SELECT of this function alone, of values that are known? */
static bool
selects_only(const PlannedStmt *plan, Oid function)
{
	Plan	   *top = plan->planTree;
	TargetEntry *target = list_length(top->targetlist) == 1 ? linitial(top->targetlist) : NULL;

	return plan->commandType == CMD_SELECT && is_as_written(plan) &&
		!plan->hasModifyingCTE && plan->subplans == NIL && plan->rowMarks == NIL &&
		IsA(top, Result) && top->lefttree == NULL && top->qual == NIL && ((Result *) top)->resconstantqual == NULL &&
		target != NULL && IsA(target->expr, FuncExpr) && ((FuncExpr *) target->expr)->funcid == function &&
		!contain_mutable_functions((Node *) ((FuncExpr *) target->expr)->args);
}

/*
 * From client_report(), which is this function: has the client itself said so, in a
 * statement that is nothing else, and is the first of its transaction? What is called by a
 * view, a default, a trigger or a function, also one with a cursor, may be somebody else's
 * doing.
 */
bool
pm_hold_reports(Oid function)
{
	if (statements != 1 || ActivePortal == NULL ||
		ActivePortal->strategy != PORTAL_ONE_SELECT || ActivePortal->queryDesc == NULL ||
		!selects_only(ActivePortal->queryDesc->plannedstmt, function))
		return false;
	xact.is.reported = true;
	return true;
}

/* A block has ended, or failed, or what was not a SELECT or the like by itself. */
static pg_noinline void
end_unusual(XactEvent event)
{
	int64		busy;

	xact.is.reported = false;
	if (xact.is.failed)
		end_failed_block(true);
	busy = busy_until(now_at_end(event), GetCurrentTransactionStartTimestamp());
	if (event == XACT_EVENT_ABORT && xact.is.in_block && !xact.is.ending && !proc_exit_inprogress)
	{
		xact.is.failed = true;
		failed_hold = busy;
	}
	else
	{
		pm_sheet_write(sheet, busy);
		xact.is.in_block = xact.is.ending && chained && (event == XACT_EVENT_COMMIT || rolls_back);
	}
	xact.is.ending = false;
	xact.is.ran_utility = false;
}

/* A transaction of this session has ended. */
void
pm_hold_end(XactEvent event)
{
	if (is_the_servers_own(event))
		xact.is.reported = false;
	else if (unlikely(xact.is.reported) && was_a_report(event))
		end_report();
	else if (likely(event == XACT_EVENT_COMMIT && xact.any == 0))
		pm_sheet_write(sheet, busy_until(now_at_end(event), GetCurrentTransactionStartTimestamp()));
	else
		end_unusual(event);
	statements = 0;
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
	chained = stmt->chain && xact.is.in_block;
	rolls_back = stmt->kind == TRANS_STMT_ROLLBACK;
	if (xact.is.failed && GetCurrentTransactionNestLevel() == 1)
	{
		end_failed_block(false);
		xact.is.in_block = chained;
	}
	else
		xact.is.ending = true;
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

	xact.is.ran_utility = true;
	statements += !IsA(stmt, TransactionStmt);
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
			xact.is.ending = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	else
	{
		bool		begins = sheet != NULL && IsA(stmt, TransactionStmt) &&
		(stmt->kind == TRANS_STMT_BEGIN || stmt->kind == TRANS_STMT_START);

		run_utility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
		xact.is.in_block |= begins;
	}
}

static void
watch_statement(QueryDesc *queryDesc, int eflags)
{
	statements++;
	if (prev_ExecutorStart_hook)
		prev_ExecutorStart_hook(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

/* From now on; the login's own transaction is nobody's hold. */
void
pm_holds_begin(PmSheet *mine, PmSlot *my_slot)
{
	sheet = mine;
	slot = my_slot;
	statements = 0;
	xact.is.reported = false;
	note_end(GetCurrentTimestamp(), pm_monotonic_coarse_us());
}

/* The session ends: so does the transaction that it may still be in. */
void
pm_holds_finish(void)
{
	if (sheet == NULL)
		return;
	if (xact.is.failed)
		end_failed_block(false);
	else if (IsTransactionOrTransactionBlock() && !began_by_itself())
		pm_sheet_write(sheet, busy_until(GetCurrentTimestamp(), GetCurrentTransactionStartTimestamp()));
	sheet = NULL;
}

void
pm_holds_install(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
	prev_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = watch_statement;
}
