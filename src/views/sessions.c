/*
 * sessions.c
 *		The view sessions: each with its flags, and why it is not retired.
 */
#include "postgres.h"

#include "base/reason.h"
#include "base/result.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "protected/verdicts.h"
#include "retire/eligible.h"
#include "retire/shares.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/lsyscache.h"
#include "views/common.h"

static void
put_details(PmRow *row, const PmTally *tally, PmClass *class, const PmSession *session)
{
	PmFlags		flags = pm_tally_flags(tally, session);
	PmAges		ages = pm_tally_ages(tally, session);
	PmReason	keep = pm_keep_reason(tally, class, session, &flags, true);

	pm_put_addr(row, &class->key.client_addr);
	pm_put_text(row, pm_state_name(session->state));
	pm_put_age(row, ages.age);
	pm_put_age(row, ages.idle);
	pm_put_age(row, ages.xact);
	pm_put_bool(row, flags.over_age);
	pm_put_bool(row, flags.stale);
	pm_put_bool(row, flags.idle_over_limit);
	pm_put_bool(row, flags.leak_suspect);
	if (keep == PM_REASON_NONE)
		keep = pm_wait_reason(tally->rules, class, session, &flags);
	pm_put_text(row, pm_reason_text(keep));
}

/* Ten columns of put_details that are not for the caller. */
static void
put_no_details(PmRow *row)
{
	for (int i = 0; i < 10; i++)
		pm_put_null(row);
}

typedef struct ClassNames
{
	bool		visible;
	const char *datname;
	const char *usename;
} ClassNames;

static ClassNames *
class_names(PmClass *class)
{
	if (class->extra == NULL)
	{
		ClassNames *names = palloc(sizeof(ClassNames));

		names->visible = pm_may_see(class->key.userid);
		names->datname = get_database_name(class->key.datid);
		names->usename = GetUserNameFromId(class->key.userid, true);
		class->extra = names;
	}
	return class->extra;
}

PG_FUNCTION_INFO_V1(pm_sessions);

Datum
pm_sessions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmTally		tally;
	PmScan		scan;
	const PmSession *session;

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pm_shares_count(&tally);
	pm_verdicts_begin(-1);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&tally, session);
		ClassNames *names = class_names(class);
		int			pool = pm_visible_pool(&tally, class, names->visible);
		PmRow		row = {0};

		pm_put_int(&row, session->pid);
		pm_put_time(&row, names->visible ? session->backend_start : 0);
		pm_put_text(&row, pool < 0 ? NULL : tally.rules->pools[pool].name);
		pm_put_text(&row, class->application_name);
		pm_put_name(&row, names->datname);
		pm_put_name(&row, names->usename);
		if (names->visible)
			put_details(&row, &tally, class, session);
		else
			put_no_details(&row);
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}
