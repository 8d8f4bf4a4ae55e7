/*
 * leaks.c
 *		The view leak_suspects: who is in one transaction for too long, from where, and
 *		what it did last.
 */
#include "postgres.h"

#include "base/result.h"
#include "pgstat.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"
#include "views/common.h"

/*
 * What its process waits for right now, and its statement; three columns. That the caller
 * may see them was settled for this session, but they are read of its process: when it has
 * ended meanwhile, that may be another's by now, and none of it is shown.
 */
static void
put_doing(PmRow *row, const PmScan *scan, const PmSession *session)
{
	uint32		wait = pm_slot_wait(session);
	const char *statement = pgstat_get_backend_current_activity(session->pid, false);

	if (!pm_scan_is_there(scan, session))
	{
		wait = 0;
		statement = NULL;
	}
	pm_put_text(row, wait != 0 ? pgstat_get_wait_event_type(wait) : NULL);
	pm_put_text(row, wait != 0 ? pgstat_get_wait_event(wait) : NULL);
	pm_put_statement(row, statement);
}

/* The session is one that the caller may see. */
static void
put_suspect(ReturnSetInfo *result, const PmTally *tally, PmViewer *viewer, const PmScan *scan, const PmSession *session)
{
	PmRow		row = {0};
	const PmClass *class = session->class;

	pm_put_text(&row, tally->rules->pools[class->pool].name);
	pm_put_int(&row, session->pid);
	pm_put_text(&row, class->application_name);
	pm_put_made(&row, pm_viewer_database(viewer, class->key.datid));
	pm_put_made(&row, pm_viewer_role(viewer, class->key.userid));
	pm_put_made(&row, pm_inet(&class->key.client_addr));
	pm_put_time(&row, session->backend_start);
	pm_put_time(&row, pm_xact_since(session));
	pm_put_age(&row, pm_tally_ages(tally, session).xact);
	pm_put_text(&row, pm_state_name(session->state));
	put_doing(&row, scan, session);
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_leak_suspects);

Datum
pm_leak_suspects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmScan		scan;
	const PmSession *session;
	PmTally		tally;
	PmViewer	viewer;

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pm_viewer_begin(&viewer);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		if (pm_tally_flags(&tally, session).leak_suspect && pm_viewer_sees(&viewer, session->userid))
			put_suspect(result, &tally, &viewer, &scan, session);
	}
	return (Datum) 0;
}
