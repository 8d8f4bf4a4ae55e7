/*
 * listen.c
 *		Watches LISTEN and UNLISTEN, because a session that listens must not be
 *		retired and the server exports no way to ask from a signal handler.
 *
 * LISTEN and UNLISTEN take effect at commit. What matters here is only never
 * to take a listening session for one that is not: LISTEN counts at once, and
 * UNLISTEN * or DISCARD ALL counts at the commit of its transaction, unless a
 * LISTEN follows it there. UNLISTEN of one channel is ignored: which channels
 * are left is the server's secret, so the session stays "listening" until it
 * unlistens all. A LISTEN that is rolled back likewise.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/shmem.h"
#include "client/listen.h"
#include "nodes/parsenodes.h"
#include "sessions/slot.h"
#include "tcop/utility.h"

volatile sig_atomic_t pm_listening = false;

static bool stops_at_commit = false;
static bool callback_registered = false;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

/* In the slot too, so that the worker knows whether anybody listens. */
static void
set_listening(bool listening)
{
	PmSlot	   *slot;

	pm_listening = listening;
	if (!pm_preloaded || pm_my_index() < 0)
		return;
	slot = &pm_slots->all[pm_my_index()];
	if (pg_atomic_read_u32(&slot->pid) == (uint32) MyProcPid)
		pg_atomic_write_u32(&slot->listening, listening);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && stops_at_commit)
		set_listening(false);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		stops_at_commit = false;
}

static void
note_listen(void)
{
	set_listening(true);
	stops_at_commit = false;
}

/* An UNLISTEN in a subtransaction might be undone alone: it does not count. */
static void
note_unlisten_all(void)
{
	if (!pm_listening || GetCurrentTransactionNestLevel() > 1)
		return;
	if (!callback_registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		callback_registered = true;
	}
	stops_at_commit = true;
}

static bool
unlistens_all(Node *statement)
{
	if (IsA(statement, UnlistenStmt))
		return ((UnlistenStmt *) statement)->conditionname == NULL;
	if (IsA(statement, DiscardStmt))
		return ((DiscardStmt *) statement)->target == DISCARD_ALL;
	return false;
}

/*
 * LISTEN is noted before it runs, so that there is no moment in which the
 * session listens and we do not know; the others after, so that one that fails
 * does not count. The statement may be freed by running it: look before.
 */
static void
watch_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	bool		unlistens = unlistens_all(pstmt->utilityStmt);

	if (IsA(pstmt->utilityStmt, ListenStmt))
		note_listen();
	if (prev_ProcessUtility_hook)
		prev_ProcessUtility_hook(pstmt, queryString, readOnlyTree, context,
								 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
	if (unlistens)
		note_unlisten_all();
}

void
pm_listen_install(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
