/*
 * sessions.c
 *		The view sessions: each with its flags, and why it is not retired.
 */
#include "postgres.h"

#include "base/reason.h"
#include "base/result.h"
#include "protected/verdicts.h"
#include "retire/eligible.h"
#include "retire/shares.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "views/common.h"

/* What the rows of one call have in common; a value of 0 is not made yet. */
typedef struct Look
{
	PmTally		tally;
	PmViewer	viewer;
	Datum		states[PM_NUM_STATES];
	Datum		reasons[PM_NUM_REASONS];
} Look;

/* The values that all sessions of one class have; 0 is NULL. */
typedef struct ClassValues
{
	bool		visible;
	Datum		pool;
	Datum		application_name;
	Datum		datname;
	Datum		usename;
	Datum		client_addr;
	NameData	names[2];		/* of the database, and the role */
} ClassValues;

static Datum
copy_name(NameData *to, Datum name)
{
	if (name == (Datum) 0)
		return name;
	*to = *DatumGetName(name);
	return NameGetDatum(to);
}

static Datum
text_of(const char *text)
{
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static ClassValues *
make_values(Look *look, const PmClass *class)
{
	ClassValues *values = palloc(sizeof(ClassValues));
	int			pool;

	values->visible = pm_viewer_sees(&look->viewer, class->key.userid);
	pool = pm_visible_pool(&look->tally, class, values->visible);
	values->pool = text_of(pool < 0 ? NULL : look->tally.rules->pools[pool].name);
	values->application_name = text_of(class->application_name);
	values->datname = copy_name(&values->names[0], pm_viewer_database(&look->viewer, class->key.datid));
	values->usename = copy_name(&values->names[1], pm_viewer_role(&look->viewer, class->key.userid));
	values->client_addr = pm_inet(&class->key.client_addr);
	return values;
}

static void
put_reason(PmRow *row, Look *look, PmReason reason)
{
	if (look->reasons[reason] == (Datum) 0)
		look->reasons[reason] = text_of(pm_reason_text(reason));
	pm_put_made(row, look->reasons[reason]);
}

static void
put_details(PmRow *row, Look *look, PmClass *class, const PmSession *session)
{
	const PmTally *tally = &look->tally;
	PmFlags		flags = pm_tally_flags(tally, session);
	PmAges		ages = pm_tally_ages(tally, session);
	PmReason	keep = pm_keep_reason(tally, class, session, &flags, true);

	pm_put_made(row, ((ClassValues *) class->extra)->client_addr);
	pm_put_made(row, look->states[session->state]);
	pm_put_age(row, ages.age);
	pm_put_age(row, ages.idle);
	pm_put_age(row, ages.xact);
	pm_put_bool(row, flags.over_age);
	pm_put_bool(row, flags.stale);
	pm_put_bool(row, flags.idle_over_limit);
	pm_put_bool(row, flags.leak_suspect);
	if (keep == PM_REASON_NONE)
		keep = pm_wait_reason(tally->rules, class, session, &flags);
	put_reason(row, look, keep);
}

/* Ten columns of put_details that are not for the caller. */
static void
put_no_details(PmRow *row)
{
	for (int i = 0; i < 10; i++)
		pm_put_null(row);
}

static void
put_session(ReturnSetInfo *result, PmRow *row, Look *look, const PmSession *session)
{
	PmClass    *class = pm_tally_class(&look->tally, session);
	ClassValues *values;

	if (class->extra == NULL)
		class->extra = make_values(look, class);
	values = class->extra;
	pm_put_int(row, session->pid);
	pm_put_time(row, values->visible ? session->backend_start : 0);
	pm_put_made(row, values->pool);
	pm_put_made(row, values->application_name);
	pm_put_made(row, values->datname);
	pm_put_made(row, values->usename);
	if (values->visible)
		put_details(row, look, class, session);
	else
		put_no_details(row);
	pm_put_row(result, row);
}

static void
begin(Look *look)
{
	memset(look, 0, sizeof(*look));
	pm_tally_begin(&look->tally);
	pm_viewer_begin(&look->viewer);
	pm_shares_count(&look->tally);
	pm_verdicts_begin(-1);
	for (int i = 0; i < PM_NUM_STATES; i++)
		look->states[i] = text_of(pm_state_name(i));
}

PG_FUNCTION_INFO_V1(pm_sessions);

Datum
pm_sessions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmScan		scan;
	const PmSession *session;
	PmRow		row;
	Look		look;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	begin(&look);
	pm_row_begin(&row);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
		put_session(result, &row, &look, session);
	return (Datum) 0;
}
