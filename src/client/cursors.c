/*
 * cursors.c
 *		Watches DECLARE ... WITH HOLD, because such a cursor outlives its
 *		transaction, and would be lost with a session that is retired.
 *
 * The names are remembered as they are declared. At the end of each transaction
 * those are forgotten whose portal is no longer there, or was made anew without
 * HOLD: that covers CLOSE and DISCARD ALL. A transaction that fails drops its
 * portals only after its callbacks: such a name goes at the end of the next one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "client/cursors.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/portal.h"

#define MAX_NAMES	32

volatile sig_atomic_t pm_holding_cursor = false;

static char names[MAX_NAMES][NAMEDATALEN];
static int	nnames = 0;
static bool too_many = false;	/* there were more: true for good */
static bool callback_registered = false;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

static bool
is_held(const char *name)
{
	Portal		portal = GetPortalByName(name);

	return PortalIsValid(portal) && (portal->cursorOptions & CURSOR_OPT_HOLD) != 0;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	int			kept = 0;

	if (nnames == 0 || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	for (int i = 0; i < nnames; i++)
	{
		if (is_held(names[i]))
			memmove(names[kept++], names[i], NAMEDATALEN);
	}
	nnames = kept;
	pm_holding_cursor = nnames > 0 || too_many;
}

static void
note_cursor(const char *name)
{
	pm_holding_cursor = true;
	if (!callback_registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		callback_registered = true;
	}
	for (int i = 0; i < nnames; i++)
	{
		if (strcmp(names[i], name) == 0)
			return;
	}
	if (nnames == MAX_NAMES)
		too_many = true;
	else
		strlcpy(names[nnames++], name, NAMEDATALEN);
}

/* The statement may be freed by running it: what matters is noted before. */
static void
watch_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	if (IsA(pstmt->utilityStmt, DeclareCursorStmt))
	{
		DeclareCursorStmt *stmt = (DeclareCursorStmt *) pstmt->utilityStmt;

		if ((stmt->options & CURSOR_OPT_HOLD) != 0)
			note_cursor(stmt->portalname);
	}
	if (prev_ProcessUtility_hook)
		prev_ProcessUtility_hook(pstmt, queryString, readOnlyTree, context,
								 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

void
pm_cursors_install(void)
{
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}
