/*
 * server.c
 *		The view server, and version().
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/failed.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "base/result.h"
#include "base/shmem.h"
#include "miscadmin.h"
#include "pools/rules.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "views/common.h"

static void
count_server(int *connections, int *undeclared, PmTally *tally)
{
	PmScan		scan;
	const PmSession *session;

	*connections = *undeclared = 0;
	pm_tally_begin(tally);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		(*connections)++;
		*undeclared += session->class->pool < 0;
	}
}

/* What there is by the settings, and what is declared of it. */
static void
put_limits(PmRow *row, const PmDeclared *declared)
{
	pm_put_int(row, MaxConnections);
	pm_put_int(row, pm_reserved_connections());
	pm_put_int(row, pm_usable_connections());
	if (pm_connection_budget > 0)
		pm_put_null(row);
	else
		pm_put_int(row, pm_headroom_percent);
	pm_put_int(row, pm_server_budget());
	pm_put_bound(row, declared->base);
	pm_put_bound(row, declared->ceiling);
	pm_put_bound(row, declared->budget);
	pm_put_bound(row, declared->surged);
}

/* Takes lock. */
static TimestampTz
status_since(PmServerStatus status, TimestampTz now)
{
	PmServerStatus followed;
	TimestampTz since;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	followed = pm_declarations->server.status;
	since = pm_declarations->server.status_since;
	LWLockRelease(&pm_accounts->lock.lock);
	return pm_shown_since(followed, since, status, PM_SERVER_OVER, now);
}

PG_FUNCTION_INFO_V1(pm_server);

Datum
pm_server(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			budget = pm_server_budget();
	int			connections;
	int			undeclared;
	int			authenticating;
	int			in_use;
	PmFigures  *figures = palloc(sizeof(PmFigures));
	PmDeclared	declared;
	PmTally		tally;
	PmServerStatus status;
	PmRow		row = {0};

	pm_require_preload();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	count_server(&connections, &undeclared, &tally);
	in_use = pm_slots_in_use(&authenticating);
	declared = pm_declared(tally.rules->pools, tally.rules->npools);

	(void) pm_account_figures(pm_server_account(), figures, true);

	put_limits(&row, &declared);
	pm_put_int(&row, connections);
	pm_put_int(&row, undeclared);
	pm_put_int(&row, authenticating);
	pm_put_int(&row, Max(pm_usable_connections() - in_use, 0));
	pm_put_int(&row, figures->peak);
	pm_put_time(&row, figures->peak_at);
	pm_put_bound(&row, (int64) figures->counters[PM_REFUSED]);
	pm_put_bound(&row, (int64) figures->counters[PM_GUARDED]);
	pm_put_bound(&row, (int64) figures->counters[PM_WOULD_BE_GUARDED]);
	status = pm_server_status(&declared, budget, connections,
							  pm_account_refused_lately(pm_server_account(), pm_monotonic_ms()));
	pm_put_text(&row, pm_server_status_name(status));
	pm_put_time(&row, status_since(status, tally.now));
	pm_put_row(result, &row);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(pm_version);

Datum
pm_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(PM_VERSION));
}
