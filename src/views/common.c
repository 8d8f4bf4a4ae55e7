/*
 * common.c
 *		What several live views show, and of whom.
 */
#include "postgres.h"

#include <ctype.h>

#include "base/compat.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "views/common.h"

void
pm_viewer_begin(PmViewer *viewer)
{
	memset(viewer, 0, sizeof(*viewer));
	viewer->sees_all = pm_sees_all();
}

static void
look_up_role(PmViewer *viewer, Oid userid)
{
	char	   *name = GetUserNameFromId(userid, true);

	viewer->userid = userid;
	viewer->visible = viewer->sees_all || pm_may_see(userid);
	viewer->has_usename = name != NULL;
	if (name != NULL)
		namestrcpy(&viewer->usename, name);
}

/* As pm_may_see(). */
bool
pm_viewer_sees(PmViewer *viewer, Oid userid)
{
	if (userid != viewer->userid || !OidIsValid(userid))
		look_up_role(viewer, userid);
	return viewer->visible;
}

/* A name, valid until another one is asked for; 0: there is no such role. */
Datum
pm_viewer_role(PmViewer *viewer, Oid userid)
{
	if (userid != viewer->userid || !OidIsValid(userid))
		look_up_role(viewer, userid);
	return viewer->has_usename ? NameGetDatum(&viewer->usename) : (Datum) 0;
}

/* Likewise. */
Datum
pm_viewer_database(PmViewer *viewer, Oid datid)
{
	if (datid != viewer->datid || !OidIsValid(datid))
	{
		char	   *name = get_database_name(datid);

		viewer->datid = datid;
		viewer->has_datname = name != NULL;
		if (name != NULL)
			namestrcpy(&viewer->datname, name);
	}
	return viewer->has_datname ? NameGetDatum(&viewer->datname) : (Datum) 0;
}

void
pm_put_counts(PmRow *row, const PmCounts *counts)
{
	pm_put_int(row, counts->in_state[PM_STATE_ACTIVE]);
	pm_put_int(row, counts->in_state[PM_STATE_IDLE]);
	pm_put_int(row, counts->in_state[PM_STATE_IDLE_IN_TRANSACTION]);
	pm_put_int(row, counts->in_state[PM_STATE_IDLE_IN_TRANSACTION_ABORTED]);
	pm_put_int(row, pm_busy(counts));
}

/* A number, or of what has a unit the seconds. */
void
pm_put_counter(PmRow *row, PmCounter counter, uint64 value)
{
	PmUnit		unit = pm_counters[counter].unit;

	if (unit == PM_ONE)
		pm_put_bound(row, value);
	else
		pm_put(row, Float8GetDatum((double) value / unit));
}

/* NULL where there is no such session. */
void
pm_put_longest(PmRow *row, const PmCounts *counts)
{
	pm_put_age(row, counts->connections > 0 ? counts->oldest : -1);
	pm_put_age(row, counts->in_state[PM_STATE_IDLE] > 0 ? counts->longest_idle : -1);
}

void
pm_put_findings(PmRow *row, const PmCounts *counts)
{
	pm_put_int(row, counts->stale);
	pm_put_int(row, counts->idle_over_limit);
	pm_put_int(row, counts->leak_suspects);
}

/* Can it be sent to this session's client as it is, without a conversion that may fail? */
static bool
is_legible(const char *name)
{
	return GetDatabaseEncoding() != PG_SQL_ASCII && pg_get_client_encoding() == GetDatabaseEncoding() &&
		pg_verifymbstr(name, strlen(name), true);
}

static bool
is_control(unsigned char c)
{
	return c < ' ' || c == 0x7F;
}

/* Does it begin as one that is shown for another byte? */
static bool
looks_escaped(const unsigned char *c)
{
	return c[0] == '\\' && c[1] == 'x' && isxdigit(c[2]) && isxdigit(c[3]);
}

/*
 * What is not ASCII is shown as \xNN, where this session's client could not read it. Of a
 * name, so are control characters, and a backslash where it could be taken for that: two
 * names are never shown alike, so no two rows, nor series of metrics.
 */
static void
put_legible(PmRow *row, const char *text, bool is_name)
{
	char	   *shown = palloc(4 * strlen(text) + 1);
	char	   *to = shown;
	bool		legible = is_legible(text);

	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		if ((is_name && (is_control(*c) || looks_escaped(c))) || (*c > 0x7F && !legible))
			to += sprintf(to, "\\x%02x", *c);
		else
			*to++ = (char) *c;
	}
	*to = '\0';
	pm_put_text(row, shown);
	pfree(shown);
}

/*
 * A name that a client has logged in with, or tried to: it may be of any bytes, and must
 * not make the view fail.
 */
static void
put_login_name(PmRow *row, const char *name)
{
	put_legible(row, name, true);
}

/* A statement of another session, of whatever database; it must not make the view fail. */
void
pm_put_statement(PmRow *row, const char *statement)
{
	if (statement == NULL)
		pm_put_null(row);
	else
		put_legible(row, statement, false);
}

/* Three columns: application_name, datname, usename; NULL of what is none. */
void
pm_put_application(PmRow *row, const PmOwner *owner)
{
	pm_put_text(row, owner->discovered ? owner->name : NULL);
	if (owner->discovered)
	{
		put_login_name(row, owner->datname);
		put_login_name(row, owner->usename);
	}
	else
	{
		pm_put_null(row);
		pm_put_null(row);
	}
}

/*
 * Which pool to show. One that was chosen by address says something of an
 * address that the caller may not see.
 */
int
pm_visible_pool(const PmTally *tally, const PmClass *class, bool visible)
{
	return visible || !tally->rules->by_client_addr ? class->pool : -1;
}

/*
 * Since when a pool or the server is in the status that is shown: as the sampler has followed
 * it, unless that has not seen yet what is seen right now. What is milder than a condition
 * that has not been away for status_hold is no news; mildest_held: the first status of which
 * there are such. A since of 0: nothing was followed yet.
 */
TimestampTz
pm_shown_since(int followed, TimestampTz since, int shown, int mildest_held, TimestampTz now)
{
	bool		may_come_back = followed >= mildest_held && shown < followed;

	if (since != 0 && (followed == shown || may_come_back))
		return since;
	return now;
}

/* Sleeps for ms milliseconds, or until something wakes this process. */
void
pm_nap(const char *wait_event, long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 pm_wait_event(wait_event));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
