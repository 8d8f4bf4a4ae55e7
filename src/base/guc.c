/*
 * guc.c
 *		Settings, their ranges and check hooks.
 */
#include "postgres.h"

#include <limits.h>

#include "base/compat.h"
#include "base/guardmode.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#define DEFAULT_DATABASE			"postgres"
#define DEFAULT_SAMPLE_INTERVAL		1000
#define MIN_SAMPLE_INTERVAL			10
#define MAX_SAMPLE_INTERVAL			60000
#define DEFAULT_STATUS_HOLD			10000
#define MAX_STATUS_HOLD				3600000
#define DEFAULT_RECYCLE_INTERVAL	30000
#define MIN_RECYCLE_INTERVAL		100
#define MAX_RECYCLE_INTERVAL		86400000
#define DEFAULT_RECYCLE_LIMIT		100
#define MAX_RECYCLE_LIMIT			100000
#define DEFAULT_RECYCLE_MARGIN		10
#define MAX_RECYCLE_MARGIN			1000
#define DEFAULT_HEADROOM			20
#define MAX_HEADROOM				90
#define DEFAULT_CONNECTION_BUDGET	(-1)
#define MAX_CONNECTION_BUDGET		262143	/* MAX_BACKENDS */
#define MAX_CONNECT_RATE			100000
#define DEFAULT_MAX_POOLS			64
#define MAX_MAX_POOLS				PM_MOST_POOLS
#define DEFAULT_MAX_APPLICATIONS	100
#define DEFAULT_MAX_CLIENT_PROCESSES	256
#define DEFAULT_MAX_EVENTS			1000
#define MIN_MAX_EVENTS				10
#define MAX_MAX_EVENTS				1000000
#define DEFAULT_HISTORY_MINUTES		1440	/* a day */
#define MIN_HISTORY_MINUTES			10
#define MAX_HISTORY_MINUTES			44640	/* 31 days */
#define DEFAULT_HISTORY_HOURS		720 /* 30 days */
#define MIN_HISTORY_HOURS			2
#define MAX_HISTORY_HOURS			17568	/* 2 years */
#define DEFAULT_SAVE_INTERVAL		300
#define MIN_SAVE_INTERVAL			1
#define MAX_SAVE_INTERVAL			86400

char	   *pm_database = NULL;
int			pm_sample_interval = DEFAULT_SAMPLE_INTERVAL;
int			pm_status_hold = DEFAULT_STATUS_HOLD;
bool		pm_recycle_enabled = true;
int			pm_recycle_interval = DEFAULT_RECYCLE_INTERVAL;
int			pm_recycle_limit = DEFAULT_RECYCLE_LIMIT;
int			pm_recycle_margin = DEFAULT_RECYCLE_MARGIN;
char	   *pm_protected_roles = NULL;
int			pm_headroom_percent = DEFAULT_HEADROOM;
int			pm_connection_budget = DEFAULT_CONNECTION_BUDGET;
int			pm_max_pools = DEFAULT_MAX_POOLS;
int			pm_max_applications = DEFAULT_MAX_APPLICATIONS;
int			pm_max_client_processes = DEFAULT_MAX_CLIENT_PROCESSES;
int			pm_max_events = DEFAULT_MAX_EVENTS;
int			pm_history_minutes = DEFAULT_HISTORY_MINUTES;
int			pm_history_hours = DEFAULT_HISTORY_HOURS;
int			pm_save_interval = DEFAULT_SAVE_INTERVAL;
bool		pm_notify_events = true;
bool		pm_guard_enabled = true;
int			pm_undeclared_guard = PM_GUARD_OFF;
int			pm_undeclared_budget = -1;
int			pm_undeclared_connect_rate = -1;

static const struct config_enum_entry guard_modes[] = {
	{"off", PM_GUARD_OFF, false},
	{"report", PM_GUARD_REPORT, false},
	{"enforce", PM_GUARD_ENFORCE, false},
	{NULL, 0, false}
};

static bool
check_database(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("\"pool_monitor.database\" must be the name of a database, 1 to %d bytes long.",
							NAMEDATALEN - 1);
		return false;
	}
	return true;
}

static bool
check_protected_roles(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		ok = SplitIdentifierString(copy, ',', &names);

	if (!ok)
		GUC_check_errdetail("\"pool_monitor.protected_roles\" must be a list of role names, separated by commas.");
	list_free(names);
	pfree(copy);
	return ok;
}

/* 0 must not come to mean "everything is over budget". */
static bool
check_connection_budget(int *newval, void **extra, GucSource source)
{
	if (*newval == 0)
	{
		GUC_check_errdetail("\"pool_monitor.connection_budget\" must be 1 or more, or -1 for the usable connections less \"pool_monitor.headroom_percent\".");
		return false;
	}
	return true;
}

/* Nor 0, or next to nothing, "nobody comes in": those who mend things are in no pool. */
static bool
check_undeclared_budget(int *newval, void **extra, GucSource source)
{
	if (*newval >= 0 && *newval < PM_LEFT_TO_OTHERS)
	{
		GUC_check_errdetail("\"pool_monitor.undeclared_budget\" must be %d or more, so that nobody is locked out, or -1 for no limit.",
							PM_LEFT_TO_OTHERS);
		return false;
	}
	return true;
}

/* Nor "nobody may log in". */
static bool
check_undeclared_connect_rate(int *newval, void **extra, GucSource source)
{
	if (*newval == 0)
	{
		GUC_check_errdetail("\"pool_monitor.undeclared_connect_rate\" must be 1 or more, or -1 for any number.");
		return false;
	}
	return true;
}

/* Does it matter what is in no declared pool, because logins of that are refused? */
bool
pm_undeclared_is_limited(void)
{
	return pm_undeclared_guard == PM_GUARD_ENFORCE && (pm_undeclared_budget >= 0 || pm_undeclared_connect_rate > 0);
}

/* What shared memory is made for; called only while there is none yet. */
static void
define_sizes(void)
{
	DefineCustomIntVariable("pool_monitor.max_pools",
							"Number of declared pools that shared memory has room for.",
							NULL, &pm_max_pools, DEFAULT_MAX_POOLS,
							1, MAX_MAX_POOLS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.max_applications",
							"Number of discovered applications that are counted each for itself.",
							NULL, &pm_max_applications, DEFAULT_MAX_APPLICATIONS,
							1, PM_MOST_APPLICATIONS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.max_client_processes",
							"Number of processes of applications whose own pools' reports are kept.",
							NULL, &pm_max_client_processes, DEFAULT_MAX_CLIENT_PROCESSES,
							1, PM_MOST_CLIENT_PROCESSES,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.max_events",
							"Number of events that are kept.",
							NULL, &pm_max_events, DEFAULT_MAX_EVENTS,
							MIN_MAX_EVENTS, MAX_MAX_EVENTS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.history_minutes",
							"Length of the history by the minute, in minutes.",
							NULL, &pm_history_minutes, DEFAULT_HISTORY_MINUTES,
							MIN_HISTORY_MINUTES, MAX_HISTORY_MINUTES,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.history_hours",
							"Length of the history by the hour, in hours.",
							NULL, &pm_history_hours, DEFAULT_HISTORY_HOURS,
							MIN_HISTORY_HOURS, MAX_HISTORY_HOURS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* Connections that ordinary roles can have. */
int
pm_usable_connections(void)
{
	return Max(MaxConnections - pm_reserved_connections(), 0);
}

/* Connections that all applications together may hold: 1 at least. */
int
pm_server_budget(void)
{
	int			budget = (int64) pm_usable_connections() * (100 - pm_headroom_percent) / 100;

	if (pm_connection_budget > 0)
		return pm_connection_budget;
	return Max(budget, 1);
}

/*
 * The least max_connections with which pm_server_budget() is so much; a fixed
 * connection_budget has to be raised besides. Usable ones, of which headroom_percent is
 * kept free: what plan() calls its buffer is a share of the ceiling, and this one of the
 * whole.
 */
int64
pm_max_connections_for(int64 connections)
{
	int			share = pm_connection_budget > 0 ? 100 : 100 - pm_headroom_percent;

	return (connections * 100 + share - 1) / share + pm_reserved_connections();
}

static void
define_retirement(void)
{
	DefineCustomBoolVariable("pool_monitor.recycle_enabled",
							 "Allows stale sessions to be retired; off stops all retirement, whatever the pools' recycle_mode.",
							 NULL, &pm_recycle_enabled, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.recycle_interval",
							"Time between two scheduled clean-ups.",
							NULL, &pm_recycle_interval, DEFAULT_RECYCLE_INTERVAL,
							MIN_RECYCLE_INTERVAL, MAX_RECYCLE_INTERVAL,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.recycle_limit",
							"Most sessions that are retired in one recycle_interval, of all pools together.",
							NULL, &pm_recycle_limit, DEFAULT_RECYCLE_LIMIT,
							1, MAX_RECYCLE_LIMIT,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.recycle_margin",
							"How far over its pool's pool_recycle a session must be to be stale, in percent of pool_recycle.",
							NULL, &pm_recycle_margin, DEFAULT_RECYCLE_MARGIN,
							0, MAX_RECYCLE_MARGIN,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pool_monitor.protected_roles",
							   "Roles whose sessions are never retired.",
							   NULL, &pm_protected_roles, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_protected_roles, NULL, NULL);
}

static void
define_guard(void)
{
	DefineCustomBoolVariable("pool_monitor.guard_enabled",
							 "Allows logins to be refused where a pool's guard is enforce; off admits all, whatever the pools declare.",
							 NULL, &pm_guard_enabled, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pool_monitor.undeclared_guard",
							 "How undeclared_budget is kept at login, for all that is in no declared pool together.",
							 NULL, &pm_undeclared_guard, PM_GUARD_OFF, guard_modes,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.undeclared_budget",
							"Connections that all that is in no declared pool may hold together; -1: no limit.",
							NULL, &pm_undeclared_budget, -1,
							-1, MAX_CONNECTION_BUDGET,
							PGC_SIGHUP, 0, check_undeclared_budget, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.undeclared_connect_rate",
							"Logins a second that all that is in no declared pool may make together, beyond 20 at once; -1: any number.",
							NULL, &pm_undeclared_connect_rate, -1,
							-1, MAX_CONNECT_RATE,
							PGC_SIGHUP, 0, check_undeclared_connect_rate, NULL, NULL);
}

/*
 * Called from _PG_init. PGC_POSTMASTER settings exist only where the library
 * was preloaded: a session that loads it later may not define them, and has
 * no use for them.
 */
void
pm_guc_define(void)
{
	DefineCustomStringVariable("pool_monitor.database",
							   "Database whose pool_monitor.pools declares the pools.",
							   NULL, &pm_database, DEFAULT_DATABASE,
							   PGC_SIGHUP, 0, check_database, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.sample_interval",
							"Time between two samples of peaks and statuses.",
							NULL, &pm_sample_interval, DEFAULT_SAMPLE_INTERVAL,
							MIN_SAMPLE_INTERVAL, MAX_SAMPLE_INTERVAL,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.status_hold",
							"Time for which a pool's or the server's bad status must have been away before it is told to be over.",
							NULL, &pm_status_hold, DEFAULT_STATUS_HOLD,
							0, MAX_STATUS_HOLD,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	define_retirement();
	define_guard();
	DefineCustomIntVariable("pool_monitor.headroom_percent",
							"Share of the usable connections to keep free when connection_budget is -1, in percent.",
							NULL, &pm_headroom_percent, DEFAULT_HEADROOM,
							0, MAX_HEADROOM,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.connection_budget",
							"Connections that all applications together may hold; -1 for the usable ones less headroom_percent.",
							NULL, &pm_connection_budget, DEFAULT_CONNECTION_BUDGET,
							-1, MAX_CONNECTION_BUDGET,
							PGC_SIGHUP, 0, check_connection_budget, NULL, NULL);

	DefineCustomBoolVariable("pool_monitor.notify_events",
							 "Tells those who LISTEN pool_monitor of events, in the database of the declarations.",
							 NULL, &pm_notify_events, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pool_monitor.save_interval",
							"Time between two times that the statistics are written to a file.",
							NULL, &pm_save_interval, DEFAULT_SAVE_INTERVAL,
							MIN_SAVE_INTERVAL, MAX_SAVE_INTERVAL,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);

	if (!process_shared_preload_libraries_in_progress)
		return;
	define_sizes();
	MarkGUCPrefixReserved("pool_monitor");
}
