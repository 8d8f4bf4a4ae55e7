/*
 * budgets.c
 *		The live views: budgets, applications, sessions, server.
 *
 * Each scans the backend status array at the moment of the query. "now" is the
 * clock's, not the transaction's.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/guc.h"
#include "base/result.h"
#include "commands/dbcommands.h"
#include "retire/eligible.h"
#include "retire/shares.h"
#include "retire/verdicts.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* ---- budgets ---- */

static void
put_counts(PmRow *row, const PmCounts *counts)
{
	pm_put_int(row, counts->active);
	pm_put_int(row, counts->idle);
	pm_put_int(row, counts->idle_in_transaction);
	pm_put_int(row, counts->idle_in_transaction_aborted);
	pm_put_int(row, pm_busy(counts));
}

/* NULL where there is no such session. */
static void
put_longest(PmRow *row, const PmCounts *counts)
{
	pm_put_age(row, counts->connections > 0 ? counts->oldest : -1);
	pm_put_age(row, counts->idle > 0 ? counts->longest_idle : -1);
}

static void
put_findings(PmRow *row, const PmCounts *counts)
{
	pm_put_int(row, counts->stale);
	pm_put_int(row, counts->idle_over_limit);
	pm_put_int(row, counts->leak_suspects);
}

/*
 * Peak and status are never behind what is seen right now, though the sampler
 * may not have moved sessions to a pool that was just declared.
 */
static void
put_budget(ReturnSetInfo *result, const PmPool *pool, int account, const PmCounts *counts,
		   const PmPoolState *state, TimestampTz now)
{
	PmRow		row = {0};
	PmStatus	status = pm_pool_status(pool, counts->connections, pm_busy(counts));
	uint64		peak = pg_atomic_read_u64(&pm_shared->accounts[account].peak);
	bool		new_peak = counts->connections > PM_PEAK_COUNT(peak);
	bool		new_status = state->status_since == 0 || state->status != status;

	pm_put_text(&row, pool->name);
	pm_put_bound(&row, pool->base);
	pm_put_bound(&row, pool->ceiling);
	pm_put_bound(&row, pool->budget);
	pm_put_int(&row, counts->connections);
	put_counts(&row, counts);
	pm_put_int(&row, pm_overflow(pool, counts->connections));
	pm_put_int(&row, pool->budget < 0 ? 0 : Max(counts->connections - pool->budget, 0));
	pm_put_int(&row, new_peak ? counts->connections : PM_PEAK_COUNT(peak));
	pm_put_time(&row, new_peak ? now : pm_peak_at(peak));
	put_findings(&row, counts);
	put_longest(&row, counts);
	pm_put_text(&row, pm_status_name(status));
	pm_put_time(&row, new_status ? now : state->status_since);
	pm_put_row(result, &row);
}

static PmCounts *
count_pools(PmTally *tally)
{
	PmCounts   *pools = palloc0(sizeof(PmCounts) * (tally->rules->npools + 1));
	PmScan		scan;
	PmSession	session;

	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(tally, &session);
		PmFlags		flags;

		if (class->pool < 0)
			continue;
		flags = pm_tally_flags(tally, class, &session);
		pm_count(tally, &pools[class->pool], &session, &flags);
	}
	return pools;
}

PG_FUNCTION_INFO_V1(pm_budgets);

Datum
pm_budgets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmTally		tally;
	PmCounts   *pools;
	PmPoolState *states;

	pm_require_preload();
	pm_warn_if_never_loaded();
	InitMaterializedSRF(fcinfo, 0);
	do
	{
		pm_tally_begin(&tally);
		pools = count_pools(&tally);
		states = palloc0(sizeof(PmPoolState) * (tally.rules->npools + 1));
	} while (!pm_states_copy(tally.rules, states));

	for (int i = 0; i < tally.rules->npools; i++)
		put_budget(result, &tally.rules->pools[i], tally.rules->accounts[i], &pools[i],
				   &states[i], tally.now);
	return (Datum) 0;
}

/* ---- declared() ---- */

static const char *
mode_name(PmRecycleMode mode)
{
	if (mode == PM_RECYCLE_TERMINATE)
		return "terminate";
	return mode == PM_RECYCLE_REPORT ? "report" : "off";
}

/* Does the declaration ask for a role? What matches every name asks for none. */
static bool
asks_for_role(const PmPool *pool)
{
	return !pool->any_usename && pool->usename[strspn(pool->usename, "%")] != '\0';
}

static bool
asks_for_address(const PmPool *pool)
{
	return !pool->any_client_addr && pool->network_bits > 0;
}

PG_FUNCTION_INFO_V1(pm_declared_pools);

/* The declarations in force, for SQL in any database. */
Datum
pm_declared_pools(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const PmRules *rules;

	pm_require_preload();
	pm_warn_if_never_loaded();
	InitMaterializedSRF(fcinfo, 0);
	rules = pm_rules_current();
	for (int i = 0; i < rules->npools; i++)
	{
		const PmPool *pool = &rules->pools[i];
		PmRow		row = {0};

		pm_put_text(&row, pool->name);
		pm_put_int(&row, pool->servers);
		pm_put_int(&row, pool->workers);
		pm_put_int(&row, pool->pool_size);
		pm_put_int(&row, pool->max_overflow);
		pm_put_duration(&row, pool->pool_timeout);
		pm_put_duration(&row, pool->pool_recycle);
		pm_put_bool(&row, pool->pre_ping);
		pm_put_bool(&row, pool->echo);
		pm_put_duration(&row, pool->idle_limit);
		pm_put_duration(&row, pool->leak_threshold);
		pm_put_bound(&row, pool->base);
		pm_put_bound(&row, pool->ceiling);
		pm_put_bound(&row, pool->budget);
		pm_put_text(&row, mode_name(pool->recycle_mode));
		pm_put_duration(&row, pool->recycle_grace);
		pm_put_bool(&row, pool->shrink_idle);
		pm_put_bool(&row, asks_for_role(pool));
		pm_put_bool(&row, asks_for_address(pool));
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}

/* ---- applications ---- */

typedef struct ApplicationKey
{
	char		application_name[NAMEDATALEN];
	Oid			datid;
	Oid			userid;
	int			pool;			/* -1: none, or not for the caller to know */
} ApplicationKey;

typedef struct Application
{
	ApplicationKey key;			/* first, for dynahash */
	bool		visible;
	PmCounts	counts;
	int			hosts;
	PmAddr		last_host;		/* spares most look-ups in hosts */
} Application;

typedef struct HostKey
{
	Application *application;
	PmAddr		addr;
} HostKey;

static HTAB *
create_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {
		.keysize = keysize,
		.entrysize = entrysize,
		.hcxt = CurrentMemoryContext,
	};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Which pool to show. One that was chosen by address says something of an
 * address that the caller may not see.
 */
static int
visible_pool(const PmTally *tally, const PmClass *class, bool visible)
{
	return visible || !tally->rules->by_client_addr ? class->pool : -1;
}

static Application *
find_application(HTAB *applications, const PmTally *tally, PmClass *class)
{
	ApplicationKey key;
	Application *application;
	bool		visible = pm_may_see(class->key.userid);
	bool		found;

	memset(&key, 0, sizeof(key));
	strlcpy(key.application_name, class->application_name, NAMEDATALEN);
	key.datid = class->key.datid;
	key.userid = class->key.userid;
	key.pool = visible_pool(tally, class, visible);

	application = hash_search(applications, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) application + sizeof(key), 0, sizeof(*application) - sizeof(key));
		application->visible = visible;
	}
	return application;
}

static void
count_host(HTAB *hosts, Application *application, const PmAddr *addr)
{
	HostKey		key;
	bool		found;

	if (application->hosts > 0 && application->last_host.family == addr->family &&
		(addr->family == 0 || memcmp(&application->last_host, addr, sizeof(*addr)) == 0))
		return;
	application->last_host = *addr;
	memset(&key, 0, sizeof(key));
	key.application = application;
	key.addr = *addr;
	hash_search(hosts, &key, HASH_ENTER, &found);
	application->hosts += !found;
}

static void
put_application(ReturnSetInfo *result, const PmTally *tally, const Application *application)
{
	PmRow		row = {0};
	const PmCounts *counts = &application->counts;
	int			pool = application->key.pool;

	pm_put_text(&row, application->key.application_name);
	pm_put_name(&row, get_database_name(application->key.datid));
	pm_put_name(&row, GetUserNameFromId(application->key.userid, true));
	pm_put_text(&row, pool < 0 ? NULL : tally->rules->pools[pool].name);
	pm_put_int(&row, counts->connections);
	if (application->visible)
	{
		put_counts(&row, counts);
		put_findings(&row, counts);
		pm_put_int(&row, application->hosts);
		put_longest(&row, counts);
	}
	else
	{
		for (int i = 0; i < 11; i++)
			pm_put_null(&row);
	}
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_applications);

Datum
pm_applications(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HTAB	   *applications = create_table("pool_monitor applications", sizeof(ApplicationKey), sizeof(Application));
	HTAB	   *hosts = create_table("pool_monitor hosts", sizeof(HostKey), sizeof(HostKey));
	HASH_SEQ_STATUS all;
	Application *application;
	PmTally		tally;
	PmScan		scan;
	PmSession	session;

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(&tally, &session);
		PmFlags		flags = pm_tally_flags(&tally, class, &session);

		if (class->extra == NULL)
			class->extra = find_application(applications, &tally, class);
		application = class->extra;
		pm_count(&tally, &application->counts, &session, &flags);
		count_host(hosts, application, &session.client_addr);
	}

	hash_seq_init(&all, applications);
	while ((application = hash_seq_search(&all)) != NULL)
		put_application(result, &tally, application);
	return (Datum) 0;
}

/* ---- sessions ---- */

static void
put_details(PmRow *row, const PmTally *tally, PmClass *class, const PmSession *session)
{
	PmFlags		flags = pm_tally_flags(tally, class, session);
	PmAges		ages = pm_tally_ages(tally, session);
	PmReason	keep = pm_keep_reason(tally, class, session, &flags, true);

	pm_put_addr(row, &session->client_addr);
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
	PmSession	session;

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pm_shares_count(&tally);
	pm_verdicts_begin(-1);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(&tally, &session);
		ClassNames *names = class_names(class);
		int			pool = visible_pool(&tally, class, names->visible);
		PmRow		row = {0};

		pm_put_int(&row, session.pid);
		pm_put_time(&row, names->visible ? session.backend_start : 0);
		pm_put_text(&row, pool < 0 ? NULL : tally.rules->pools[pool].name);
		pm_put_text(&row, session.application_name);
		pm_put_name(&row, names->datname);
		pm_put_name(&row, names->usename);
		if (names->visible)
			put_details(&row, &tally, class, &session);
		else
			put_no_details(&row);
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}

/* ---- server ---- */

static void
count_server(int *connections, int *undeclared, PmTally *tally)
{
	PmScan		scan;
	PmSession	session;

	*connections = *undeclared = 0;
	pm_tally_begin(tally);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		(*connections)++;
		*undeclared += pm_tally_class(tally, &session)->pool < 0;
	}
}

PG_FUNCTION_INFO_V1(pm_server);

Datum
pm_server(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			reserved = pm_reserved_connections();
	int			usable = pm_usable_connections();
	int			budget = pm_server_budget();
	int			connections;
	int			undeclared;
	int			authenticating;
	int			in_use;
	PmFigures  *figures = palloc(sizeof(PmFigures));
	PmDeclared	declared;
	PmTally		tally;
	PmRow		row = {0};

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count_server(&connections, &undeclared, &tally);
	in_use = pm_slots_in_use(&authenticating);
	declared = pm_declared(tally.rules->pools, tally.rules->npools);

	(void) pm_account_figures(pm_server_account(), figures, true);

	pm_put_int(&row, MaxConnections);
	pm_put_int(&row, reserved);
	pm_put_int(&row, usable);
	if (pm_connection_budget > 0)
		pm_put_null(&row);
	else
		pm_put_int(&row, pm_headroom_percent);
	pm_put_int(&row, budget);
	pm_put_bound(&row, declared.base);
	pm_put_bound(&row, declared.ceiling);
	pm_put_int(&row, connections);
	pm_put_int(&row, undeclared);
	pm_put_int(&row, authenticating);
	pm_put_int(&row, Max(usable - in_use, 0));
	pm_put_int(&row, figures->peak);
	pm_put_time(&row, figures->peak_at);
	pm_put_bound(&row, (int64) figures->counters[PM_REFUSED]);
	pm_put_text(&row, pm_server_status_name(pm_server_status(&declared, budget, connections)));
	pm_put_row(result, &row);
	return (Datum) 0;
}
