/*
 * refusals.c
 *		Scheduled retirement of all pools waits while the server refuses logins.
 *
 * A client whose session is retired might not get another one. So all pools wait,
 * until REFUSAL_PAUSE has passed without a login that was refused for want of a slot.
 *
 * Who is at the password prompt holds a slot too, and anybody can be; so a refusal counts
 * only while the sessions that have begun take nearly all that is usable (account.c).
 * Where they take half of it, the rest may be logins that hang: then it takes
 * PM_HALF_SAMPLES seconds with refusals within REFUSAL_PAUSE, and such pauses end when
 * they have taken MOST_HALF_PAUSE of an hour. Where they take less, it says nothing.
 *
 * Begin and end are an event and a log line each.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "events/events.h"
#include "retire/pace.h"
#include "retire/refusals.h"

#define REFUSAL_PAUSE	60000	/* ms */
#define HALF_SAMPLE		1000	/* ms */
#define MOST_HALF_PAUSE	600000	/* ms */
#define HOUR			3600000 /* ms */
#define LONGEST_STEP	2000	/* ms; a worker that stood still did not pause */

/* Are there enough of them, while half of the slots were sessions? */
static bool
half_full(PmRefusals *refusals, int64 now)
{
	int64		oldest = refusals->half_at[refusals->half_next];

	if (now - refusals->hour_begin >= HOUR)
	{
		refusals->hour_begin = now;
		refusals->hour_paused = 0;
	}
	return oldest != 0 && now - oldest < REFUSAL_PAUSE;
}

/* Notes what is new. */
static void
look_at_refusals(PmRefusals *refusals, int64 now)
{
	uint32		full = pg_atomic_read_u32(&pm_accounts->refused_full);
	uint32		half = pg_atomic_read_u32(&pm_accounts->refused_half);
	int			latest = (refusals->half_next + PM_HALF_SAMPLES - 1) % PM_HALF_SAMPLES;

	if (full != refusals->full)
		refusals->last_full = now;
	if (half != refusals->half && now - refusals->half_at[latest] >= HALF_SAMPLE)
	{
		refusals->half_at[refusals->half_next] = now;
		refusals->half_next = (refusals->half_next + 1) % PM_HALF_SAMPLES;
	}
	refusals->full = full;
	refusals->half = half;
}

/* Would a client that loses a session not get another one? */
static bool
server_is_full(int64 now)
{
	PmRefusals *refusals = &pm_retirement->refusals;
	bool		full;
	bool		half;

	look_at_refusals(refusals, now);
	full = refusals->last_full != 0 && now - refusals->last_full < REFUSAL_PAUSE;
	half = half_full(refusals, now) && refusals->hour_paused < MOST_HALF_PAUSE;
	if (half && !full)
		refusals->hour_paused += Min(now - refusals->looked_at, LONGEST_STEP);
	refusals->looked_at = now;
	return full || half;
}

static const char *
why_resumed(int64 now, bool matters)
{
	if (!matters)
		return "no pool retires on schedule any more";
	if (half_full(&pm_retirement->refusals, now))
		return "logins that hang may be what fills the server, and pauses for them have taken their share of an hour";
	return "the server has not refused a connection for a minute";
}

/* Called by the worker before it asks. matters: does any pool retire on schedule? */
void
pm_refusals_tick(int64 now, bool matters)
{
	bool		refuses = server_is_full(now) && matters;

	if (refuses && !pm_retirement->refusing)
	{
		pm_event(PM_EVENT_RETIREMENT_PAUSED, NULL, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor pauses scheduled retirement: the server refuses connections")));
	}
	else if (pm_retirement->refusing && !refuses)
	{
		pm_event(PM_EVENT_RETIREMENT_RESUMED, NULL, 0, "{\"reason\": \"refusals\"}");
		ereport(LOG, (errmsg("pool_monitor resumes scheduled retirement: %s", why_resumed(now, matters))));
	}
	pm_retirement->refusing = refuses;
}
