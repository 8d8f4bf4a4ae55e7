/*
 * statuses.c
 *		What pools and the server are in, with its beginning and its end.
 *
 * A pool near its limits is exhausted and not exhausted many times a minute. So each
 * condition makes an episode: it begins when it is first seen, and has ended when it has
 * been away for status_hold. What is told of its end is how much of that time it held.
 * How long a pool really was in a status is in the history, which knows of no episodes.
 */
#include "postgres.h"

#include "base/guc.h"
#include "events/events.h"
#include "pools/declared.h"
#include "worker/holders.h"
#include "worker/statuses.h"

/* ---- episodes ---- */

typedef enum Turn
{
	GOES_ON,
	BEGINS,
	ENDS
} Turn;

static Turn
follow(PmEpisode *episode, bool holds, int64 elapsed, TimestampTz now)
{
	bool		begins = holds && episode->since == 0;

	if (!holds && episode->since == 0)
		return GOES_ON;
	if (begins)
	{
		memset(episode, 0, sizeof(*episode));
		episode->since = now;
	}
	episode->away += elapsed;
	if (!holds)
		return episode->away >= pm_status_hold * INT64CONST(1000) ? ENDS : GOES_ON;
	episode->seen += episode->away;
	episode->held += elapsed;
	episode->away = 0;
	return begins ? BEGINS : GOES_ON;
}

/* The same, and notes a change; false when there is none. */
static bool
follow_condition(PmEpisode *episode, PmCondition condition, bool holds, int64 elapsed, TimestampTz now,
				 PmChange *change)
{
	Turn		turn = follow(episode, holds, elapsed, now);

	if (turn == GOES_ON)
		return false;
	memset(change, 0, sizeof(*change));
	change->condition = condition;
	change->begun = turn == BEGINS;
	change->episode = *episode;
	if (turn == ENDS)
		episode->since = 0;
	return true;
}

/* The worst condition of which there is an episode; -1: there is none. */
static int
worst_of(const PmEpisode *episodes)
{
	int			condition = PM_NUM_CONDITIONS - 1;

	while (condition >= 0 && episodes[condition].since == 0)
		condition--;
	return condition;
}

/* The worst of which there is an episode, and since when; else the status that is seen. */
static PmStatus
status_of(const PmPoolState *state, const PmPool *pool, const PmStanding *standing, TimestampTz *since)
{
	static const PmStatus as_status[PM_NUM_CONDITIONS] = {
		[PM_IS_EXHAUSTED] = PM_STATUS_EXHAUSTED,[PM_IS_OVER] = PM_STATUS_OVER,[PM_IS_STARVED] = PM_STATUS_STARVED,
	};
	int			worst = worst_of(state->episodes);

	if (worst < 0)
		return pm_pool_status(pool, standing);
	*since = state->episodes[worst].since;
	return as_status[worst];
}

/* Likewise. */
static PmServerStatus
server_status_of(const PmServerState *state, const PmServerStanding *standing, TimestampTz *since)
{
	int			worst = worst_of(state->episodes);

	if (worst < 0)
		return standing->status;
	*since = state->episodes[worst].since;
	return worst == PM_IS_FULL ? PM_SERVER_FULL : PM_SERVER_OVER;
}

int
pm_follow_pool(PmPoolState *state, const PmPool *pool, const PmStanding *standing,
			   int64 elapsed, TimestampTz now, PmChange *changes)
{
	int			n = 0;
	TimestampTz since = now;
	PmStatus	status;

	for (int i = 0; i < PM_NUM_CONDITIONS; i++)
	{
		if (follow_condition(&state->episodes[i], i, pm_pool_is(pool, i, standing), elapsed, now, &changes[n]))
		{
			changes[n].pool = pool;
			changes[n++].standing = *standing;
		}
	}
	status = status_of(state, pool, standing, &since);
	if (state->status_since == 0 || state->status != status)
	{
		state->status = status;
		state->status_since = since;
	}
	return n;
}

int
pm_follow_server(const PmServerStanding *standing, int64 elapsed, TimestampTz now, PmChange *changes)
{
	PmServerState *state = &pm_declarations->server;
	int			n = 0;
	TimestampTz since = now;
	PmServerStatus status;

	for (int i = 0; i < PM_NUM_CONDITIONS; i++)
		n += follow_condition(&state->episodes[i], i, standing->is[i], elapsed, now, &changes[n]);
	status = server_status_of(state, standing, &since);
	if (state->status_since == 0 || state->status != status)
	{
		state->status = status;
		state->status_since = since;
	}
	return n;
}

/* ---- telling: of a pool ---- */

static double
seconds_of(const PmEpisode *episode)
{
	return episode->seen / 1000000.0;
}

static double
share_of(const PmEpisode *episode)
{
	return episode->seen > 0 ? (double) episode->held / episode->seen : 1;
}

/* For the log: how long, and how much of that; 100 % is all. */
static const char *
how_long(const PmEpisode *episode)
{
	static char text[64];
	double		percent = 100 * share_of(episode);

	snprintf(text, sizeof(text), "%.0f %% of %.1f s", percent < 100 ? Min(percent, 99) : 100, seconds_of(episode));
	return text;
}

/* A number, or what stands for none; of one text at a time. */
static const char *
limit_or(int limit, const char *none)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", limit);
	return limit >= 0 ? text : none;
}

/* What is beside it in the detail of an event: of the end how long it was, too. */
static bool
record(PmEventKind kind, const PmChange *change, const char *what, int is, const char *against, int limit)
{
	const char *pool = change->pool ? change->pool->name : NULL;

	if (change->begun)
		return pm_event(kind, pool, 0, "{\"%s\": %d, \"%s\": %s}", what, is, against, limit_or(limit, "null"));
	return pm_event(kind, pool, 0, "{\"%s\": %d, \"%s\": %s, \"seconds\": %.1f, \"share\": %.3f}",
					what, is, against, limit_or(limit, "null"), seconds_of(&change->episode), share_of(&change->episode));
}

static void
tell_exhausted(const PmChange *change)
{
	const PmPool *pool = change->pool;
	int			busy = change->standing.busy;

	if (!record(change->begun ? PM_EVENT_EXHAUSTED : PM_EVENT_NO_LONGER_EXHAUSTED, change,
				"busy", busy, "ceiling", pool->ceiling))
		return;
	ereport(LOG,
			(change->begun ?
			 errmsg("pool \"%s\" is exhausted: busy %d, ceiling %d", pool->name, busy, pool->ceiling) :
			 errmsg("pool \"%s\" is no longer exhausted: connections %d, busy %d; it was for %s",
					pool->name, change->standing.connections, busy, how_long(&change->episode))));
}

static void
tell_over(const PmChange *change)
{
	const PmPool *pool = change->pool;
	int			connections = change->standing.connections;

	if (!record(change->begun ? PM_EVENT_OVER_BUDGET : PM_EVENT_BACK_IN_BUDGET, change,
				"connections", connections, "budget", pool->budget))
		return;
	ereport(LOG,
			(change->begun ?
			 errmsg("pool \"%s\" is over its budget: connections %d, budget %d", pool->name, connections, pool->budget) :
			 errmsg("pool \"%s\" is no longer over its budget: connections %d, busy %d; it was for %s",
					pool->name, connections, change->standing.busy, how_long(&change->episode))));
}

/* The pool may have no budget. */
static void
tell_starved(const PmChange *change)
{
	const PmPool *pool = change->pool;
	int			connections = change->standing.connections;

	if (!record(change->begun ? PM_EVENT_STARVED : PM_EVENT_NO_LONGER_STARVED, change,
				"connections", connections, "budget", pool->budget))
		return;
	ereport(LOG,
			(change->begun ?
			 errmsg("pool \"%s\" is starved: the server is full and refuses its logins, connections %d, budget %s",
					pool->name, connections, limit_or(pool->budget, "none")) :
			 errmsg("pool \"%s\" is no longer starved: connections %d, busy %d; it was for %s",
					pool->name, connections, change->standing.busy, how_long(&change->episode))));
}

/* It ended with the declaration: there are no figures of now. */
static void
tell_bygone(const PmChange *change)
{
	static const struct
	{
		PmEventKind kind;
		const char *was;
	}			ends[PM_NUM_CONDITIONS] = {
		[PM_IS_EXHAUSTED] = {PM_EVENT_NO_LONGER_EXHAUSTED, "exhausted"},
		[PM_IS_OVER] = {PM_EVENT_BACK_IN_BUDGET, "over its budget"},
		[PM_IS_STARVED] = {PM_EVENT_NO_LONGER_STARVED, "starved"},
	};

	if (!pm_event(ends[change->condition].kind, change->bygone, 0,
				  "{\"undeclared\": true, \"seconds\": %.1f, \"share\": %.3f}",
				  seconds_of(&change->episode), share_of(&change->episode)))
		return;
	ereport(LOG,
			(errmsg("pool \"%s\" is no longer %s: its declaration is no longer in force; it was for %s",
					change->bygone, ends[change->condition].was, how_long(&change->episode))));
}

/* ---- telling: of the server ---- */

/* With who holds most that is not busy. */
static bool
record_begin(PmEventKind kind, const PmServerStanding *server)
{
	StringInfoData detail;
	bool		recorded;

	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"connections\": %d, \"usable\": %d, \"budget\": %d, \"authenticating\": %d, \"holders\": ",
					 server->connections, server->usable, server->budget, server->authenticating);
	pm_holders_json(&detail, PM_DETAIL_LEN - 2 - detail.len);
	recorded = pm_event(kind, NULL, 0, "%s}", detail.data);
	pfree(detail.data);
	return recorded;
}

static void
tell_server_full(const PmChange *change, const PmServerStanding *server)
{
	StringInfoData holders;

	if (!(change->begun ? record_begin(PM_EVENT_SERVER_FULL, server) :
		  record(PM_EVENT_SERVER_NO_LONGER_FULL, change, "connections", server->connections, "usable", server->usable)))
		return;
	initStringInfo(&holders);
	pm_holders_text(&holders);
	ereport(LOG,
			(change->begun ?
			 errmsg("the server is full: connections %d, authenticating %d, usable %d; most that is not busy is held by: %s",
					server->connections, server->authenticating, server->usable, holders.data) :
			 errmsg("the server is no longer full: connections %d, usable %d; it was for %s",
					server->connections, server->usable, how_long(&change->episode))));
	pfree(holders.data);
}

static void
tell_server_over(const PmChange *change, const PmServerStanding *server)
{
	StringInfoData holders;

	if (!(change->begun ? record_begin(PM_EVENT_SERVER_OVER_BUDGET, server) :
		  record(PM_EVENT_SERVER_BACK_IN_BUDGET, change, "connections", server->connections, "budget", server->budget)))
		return;
	initStringInfo(&holders);
	pm_holders_text(&holders);
	ereport(LOG,
			(change->begun ?
			 errmsg("the server is over its budget: connections %d, budget %d; most that is not busy is held by: %s",
					server->connections, server->budget, holders.data) :
			 errmsg("the server is no longer over its budget: connections %d, budget %d; it was for %s",
					server->connections, server->budget, how_long(&change->episode))));
	pfree(holders.data);
}

static void
tell_change(const PmChange *change, const PmServerStanding *server)
{
	switch (change->condition)
	{
		case PM_IS_EXHAUSTED:
			tell_exhausted(change);
			break;
		case PM_IS_OVER:
			if (change->pool)
				tell_over(change);
			else
				tell_server_over(change, server);
			break;
		case PM_IS_STARVED:
			if (change->pool)
				tell_starved(change);
			else
				tell_server_full(change, server);
			break;
		default:
			break;
	}
}

/* Ends first, and the server before the pools that it is full for. */
void
pm_tell_changes(const PmChange *changes, int n, const PmServerStanding *server)
{
	for (int begun = 0; begun <= 1; begun++)
	{
		for (int i = 0; i < n; i++)
		{
			if (changes[i].begun != begun)
				continue;
			if (changes[i].bygone[0] != '\0')
				tell_bygone(&changes[i]);
			else
				tell_change(&changes[i], server);
		}
	}
}
