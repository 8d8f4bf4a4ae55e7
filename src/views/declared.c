/*
 * declared.c
 *		declared(): the declarations in force. pools_readable(): can their table be read.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/guardmode.h"
#include "base/result.h"
#include "base/shmem.h"
#include "catalog/namespace.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

static bool
asks_for_address(const PmPool *pool)
{
	return pool->client_addr.limited && pool->client_addr.bits > 0;
}

/* Then it has whoever is in no pool before it. */
static bool
asks_for_nothing(const PmPool *pool)
{
	return !pool->application_name.limited && !pool->datname.limited && !pool->usename.limited && !asks_for_address(pool);
}

static void
put_rate(PmRow *row, int connect_rate)
{
	if (connect_rate < 0)
		pm_put_null(row);
	else
		pm_put_int(row, connect_rate);
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
		pm_put_int(&row, pool->surge);
		pm_put_duration(&row, pool->pool_timeout);
		pm_put_duration(&row, pool->pool_recycle);
		pm_put_bool(&row, pool->pre_ping);
		pm_put_bool(&row, pool->echo);
		pm_put_duration(&row, pool->idle_limit);
		pm_put_duration(&row, pool->leak_threshold);
		pm_put_bound(&row, pool->base);
		pm_put_bound(&row, pool->ceiling);
		pm_put_bound(&row, pool->surge_ceiling);
		pm_put_bound(&row, pool->budget);
		pm_put_text(&row, pm_recycle_mode_name(pool->recycle_mode));
		pm_put_duration(&row, pool->recycle_grace);
		pm_put_bool(&row, pool->shrink_idle);
		pm_put_bool(&row, pool->has_budget);
		pm_put_bool(&row, pool->usename.limited);
		pm_put_bool(&row, asks_for_address(pool));
		pm_put_time(&row, pm_account_sized_since(rules->accounts[i]));
		pm_put_text(&row, pm_guard_mode_name(pool->guard));
		pm_put_int(&row, pool->reserved);
		put_rate(&row, pool->connect_rate);
		pm_put_bool(&row, asks_for_nothing(pool));
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(pm_pools_readable);

/*
 * Whoever may write to the table may lock it, too. False: somebody has. Otherwise the lock to
 * read it is kept until the transaction ends, so that reading it then does not wait.
 */
Datum
pm_pools_readable(PG_FUNCTION_ARGS)
{
	Oid			table = get_relname_relid("pools", get_namespace_oid("pool_monitor", false));

	PG_RETURN_BOOL(OidIsValid(table) && ConditionalLockRelationOid(table, AccessShareLock));
}
