/*
 * sessions.c
 *		The view sessions: each with its flags, and why it is not retired.
 *
 * They are collected first, because they are shown in an order. Nothing of a session
 * whose details are not for the caller may be read off its place: such ones are in the
 * order of their pids.
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
	const char *only;			/* the pool; NULL: all */
	PmSession  *found;
	int			nfound;
	int			room;			/* for these */
	PmClass   **classes;		/* that were found */
	int			nclasses;
	int			class_room;
} Look;

/* The values that all sessions of one class have; 0 is NULL. */
typedef struct ClassValues
{
	bool		visible;
	bool		wanted;
	int			shown;			/* the pool in matching order, those without
								 * after them */
	int			rank;			/* in the order of what is shown */
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

/* Is it of the pool that is asked for, as far as the caller may know? */
static bool
is_wanted(const Look *look, int pool)
{
	if (look->only == NULL)
		return true;
	return strcmp(look->only, pool < 0 ? "(undeclared)" : look->tally.rules->pools[pool].name) == 0;
}

static ClassValues *
make_values(Look *look, const PmClass *class)
{
	ClassValues *values = palloc(sizeof(ClassValues));
	int			pool;

	values->visible = pm_viewer_sees(&look->viewer, class->key.userid);
	pool = pm_visible_pool(&look->tally, class, values->visible);
	values->wanted = is_wanted(look, pool);
	values->rank = 0;
	values->shown = pool < 0 ? INT_MAX : pool;
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
	PmClass    *class = session->class;
	ClassValues *values = class->extra;

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

/* ---- their order ---- */

/*
 * What decides it, of one session: the classes' order, and in a class, or several with
 * the same place, what lasts longest first. Short, and compared without a call: with
 * thousands of sessions, to sort them as they are took a third of the time of the view.
 */
typedef struct SortKey
{
	int			rank;			/* of its class */
	int			pid;
	TimestampTz xact_since;		/* PG_INT64_MAX: in none */
	bool		idle;
	TimestampTz state_change;
	const PmSession *session;
} SortKey;

static inline int
compare_ints(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

static inline int
compare_keys(const SortKey *a, const SortKey *b)
{
	if (a->rank != b->rank)
		return compare_ints(a->rank, b->rank);
	if (a->xact_since != b->xact_since)
		return compare_ints(a->xact_since, b->xact_since);
	if (a->idle != b->idle)
		return compare_ints(b->idle, a->idle);
	if (a->state_change != b->state_change)
		return compare_ints(a->state_change, b->state_change);
	return compare_ints(a->pid, b->pid);
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE SortKey
#define ST_COMPARE(a, b) compare_keys(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The pool, then the name, then those that the caller may see. */
static int
compare_classes(const void *x, const void *y)
{
	const PmClass *a = *(PmClass *const *) x;
	const PmClass *b = *(PmClass *const *) y;
	const ClassValues *of_a = a->extra;
	const ClassValues *of_b = b->extra;
	int			order = compare_ints(of_a->shown, of_b->shown);

	if (order == 0)
		order = strcmp(a->application_name, b->application_name);
	return order != 0 ? order : compare_ints(of_b->visible, of_a->visible);
}

/* Classes that nothing of this sets apart have one rank. */
static void
rank_classes(Look *look)
{
	int			rank = 0;

	qsort(look->classes, look->nclasses, sizeof(PmClass *), compare_classes);
	for (int i = 0; i < look->nclasses; i++)
	{
		if (i > 0 && compare_classes(&look->classes[i - 1], &look->classes[i]) != 0)
			rank++;
		((ClassValues *) look->classes[i]->extra)->rank = rank;
	}
}

/* Nothing of one that the caller may not see but its pid. */
static SortKey
key_of(const PmSession *session)
{
	const ClassValues *values = session->class->extra;
	SortKey		key = {.rank = values->rank,.pid = session->pid,.session = session};
	TimestampTz since;

	if (!values->visible)
		return key;
	since = pm_xact_since(session);
	key.xact_since = since == 0 ? PG_INT64_MAX : since;
	key.idle = session->state == PM_STATE_IDLE;
	key.state_change = session->state_change;
	return key;
}

static SortKey *
in_order(Look *look)
{
	SortKey    *keys = palloc(Max(look->nfound, 1) * sizeof(SortKey));

	rank_classes(look);
	for (int i = 0; i < look->nfound; i++)
		keys[i] = key_of(&look->found[i]);
	sort_keys(keys, look->nfound);
	return keys;
}

/* ---- all of them ---- */

static void
add_class(Look *look, PmClass *class)
{
	class->extra = make_values(look, class);
	if (look->nclasses == look->class_room)
	{
		look->class_room *= 2;
		look->classes = repalloc(look->classes, look->class_room * sizeof(PmClass *));
	}
	look->classes[look->nclasses++] = class;
}

static void
find_sessions(Look *look)
{
	PmScan		scan;
	const PmSession *session;

	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&look->tally, session);

		if (class->extra == NULL)
			add_class(look, class);
		if (!((ClassValues *) class->extra)->wanted)
			continue;
		if (look->nfound == look->room)
		{
			look->room *= 2;
			look->found = repalloc(look->found, look->room * sizeof(PmSession));
		}
		look->found[look->nfound++] = *session;
	}
}

static void
begin(Look *look)
{
	memset(look, 0, sizeof(*look));
	pm_tally_begin(&look->tally);
	pm_viewer_begin(&look->viewer);
	pm_shares_count(&look->tally, false);
	pm_verdicts_begin(-1);
	for (int i = 0; i < PM_NUM_STATES; i++)
		look->states[i] = text_of(pm_state_name(i));
	look->room = 64;
	look->found = palloc(look->room * sizeof(PmSession));
	look->class_room = 64;
	look->classes = palloc(look->class_room * sizeof(PmClass *));
}

PG_FUNCTION_INFO_V1(pm_sessions);

/* sessions(pool text) */
Datum
pm_sessions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmRow		row;
	Look		look;
	const SortKey *keys;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	begin(&look);
	look.only = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	find_sessions(&look);
	keys = in_order(&look);
	pm_row_begin(&row);
	for (int i = 0; i < look.nfound; i++)
		put_session(result, &row, &look, keys[i].session);
	return (Datum) 0;
}
