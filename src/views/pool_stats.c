/*
 * pool_stats.c
 *		The view pool_stats, and reset().
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/result.h"
#include "base/shmem.h"
#include "base/wake.h"
#include "events/events.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "sessions/settle.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "views/common.h"

#define READ_TRIES	10

/* ---- pool_stats ---- */

/* {}, which nearly all rows have. */
static Datum
no_declines(void)
{
	static Datum none = 0;

	if (none == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		none = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		MemoryContextSwitchTo(caller);
	}
	return none;
}

/* As jsonb: {"reason": number}. The texts need no escapes. Freed with the row. */
static void
put_declines(PmRow *row, const uint64 *declines)
{
	MemoryContext caller = MemoryContextSwitchTo(pm_row_context());
	StringInfoData json = {0};

	for (int reason = 1; reason < PM_NUM_REASONS; reason++)
	{
		if (declines[reason] == 0)
			continue;
		if (json.data == NULL)
			initStringInfo(&json);
		appendStringInfo(&json, "%c\"%s\": " UINT64_FORMAT, json.len == 0 ? '{' : ',',
						 pm_reason_text(reason), declines[reason]);
	}
	if (json.data != NULL)
	{
		appendStringInfoChar(&json, '}');
		pm_put(row, DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
	}
	else
		pm_put(row, no_declines());
	MemoryContextSwitchTo(caller);
}

/* The sums first, then the list. */
static void
put_counters(PmRow *row, const PmFigures *figures)
{
	const uint64 *c = figures->counters;

	pm_put_int(row, figures->connections);
	pm_put_bound(row, c[PM_CONNECTS] + c[PM_TAKEN_OVER]);
	pm_put_bound(row, pm_ended(c) + c[PM_GIVEN_OVER]);
	for (int i = PM_CONNECTS + 1; i < PM_NUM_COUNTERS; i++)
	{
		pm_put_counter(row, i, c[i]);
		if (i == PM_DECLINED)
			put_declines(row, figures->declines);
	}
}

/* The quantiles, and the exact maximum after them; NULL when there is no value. */
static void
put_quantiles(PmRow *row, const uint64 *counts, int n, const double *shares, int64 max)
{
	int64		durations[3];

	Assert(n <= (int) lengthof(durations));
	pm_quantiles(counts, n, shares, max, durations);
	for (int i = 0; i < n; i++)
		pm_put_duration(row, durations[i]);
	pm_put_duration(row, durations[0] < 0 ? -1 : max);
}

static void
put_durations(PmRow *row, const PmFigures *figures, int64 open_busy)
{
	static const double of_lifetimes[] = {0.50, 0.95};
	static const double of_holds[] = {0.50, 0.95, 0.99};

	pm_put_int(row, figures->peak);
	pm_put_time(row, figures->peak_at);
	pm_put(row, Float8GetDatum(Max(figures->busy + open_busy, 0) / 1000000.0));
	if (figures->observed > 0)
		pm_put(row, Float8GetDatum((double) Max(figures->busy + open_busy, 0) / figures->observed));
	else
		pm_put_null(row);
	put_quantiles(row, figures->lifetimes, lengthof(of_lifetimes), of_lifetimes, figures->lifetime_max);
	put_quantiles(row, figures->holds, lengthof(of_holds), of_holds, figures->hold_max);
	put_quantiles(row, figures->setups, lengthof(of_holds), of_holds, figures->setup_max);
	pm_put_time(row, figures->last_used);
	pm_put_time(row, figures->stats_reset);
}

/* figures is room for them, for one account after another. */
static void
put_account(ReturnSetInfo *result, int account, const char *pool, const PmOpen *open, PmFigures *figures)
{
	PmRow		row = {0};

	if (!pm_account_figures(account, figures, true))
		return;
	pm_put_text(&row, pool);
	pm_put_application(&row, &figures->owner);
	put_counters(&row, figures);
	put_durations(&row, figures, open->busy[account]);
	pm_put_row(result, &row);
}

static void
put_accounts(ReturnSetInfo *result, const PmRules *rules, const PmOpen *open)
{
	PmFigures  *figures = palloc(sizeof(PmFigures));

	for (int i = 0; i < rules->npools; i++)
	{
		/* one that got no account of its own is in (other) */
		if (rules->accounts[i] != pm_other_account())
			put_account(result, rules->accounts[i], rules->pools[i].name, open, figures);
	}
	for (int i = pm_first_application(); i < pm_other_account(); i++)
		put_account(result, i, NULL, open, figures);
	put_account(result, pm_other_account(), "(other)", open, figures);
	pfree(figures);
}

PG_FUNCTION_INFO_V1(pm_pool_stats);

/*
 * Each declared pool, each application without one, and the rest of these. Once
 * more if one of them went to (other) meanwhile, and might be seen twice.
 */
Datum
pm_pool_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmTally		tally;
	PmOpen		open;
	uint32		given_up;
	int			tries = 0;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	pm_settle_all(&tally, &open);
	do
	{
		CHECK_FOR_INTERRUPTS();
		given_up = pg_atomic_read_u32(&pm_accounts->given_up);
		tuplestore_clear(result->setResult);
		put_accounts(result, tally.rules, &open);
	} while (given_up != pg_atomic_read_u32(&pm_accounts->given_up) && ++tries < READ_TRIES);
	return (Datum) 0;
}

/* ---- reset() ---- */

/*
 * One account after another, while counting goes on: what is counted meanwhile may
 * stay in a sum and not in its part, or the other way round. Caller holds lock
 * exclusively.
 */
static void
reset_all(const PmOpen *open, int64 now)
{
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		if (!pm_account_ready(i))
			continue;
		pm_account_reset(i, open->busy[i], now);
		if (pm_account_is_application(i))
			(void) pm_account_close(i);
	}
	pm_accounts->applications_full = false;
	pg_atomic_write_u32(&pm_accounts->no_place, 0);
}

/* Does the view show the account under this name? Caller holds lock. */
static bool
has_name(const PmRules *rules, int account, const char *name)
{
	if (!pm_account_ready(account) || strcmp(pm_accounts->all[account].owner.name, name) != 0)
		return false;
	if (pm_account_is_application(account) || account == pm_other_account())
		return true;
	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->accounts[i] == account)
			return true;
	}
	return false;
}

/*
 * Those of this name: a pool, and an application in whatever databases and roles it is.
 * Says of both whether there is one. Caller holds lock exclusively.
 */
static void
reset_named(const PmRules *rules, const char *name, const PmOpen *open, int64 now, bool *pool, bool *application)
{
	*pool = *application = false;
	for (int i = 0; i <= pm_other_account(); i++)
	{
		if (!has_name(rules, i, name))
			continue;
		pm_account_reset(i, open->busy[i], now);
		if (pm_account_is_application(i))
			*application = true;
		else
			*pool = true;
	}
}

static void
tell_of_reset(const char *name, bool pool, bool application)
{
	PmIdentity	any = {.application_name = name};
	PmOwner		owner;

	if (name == NULL || pool)
		pm_event(PM_EVENT_STATISTICS_RESET, name, MyProcPid, "{}");
	if (application)
	{
		owner = pm_owner_application(&any);
		pm_event_of(PM_EVENT_STATISTICS_RESET, &owner, MyProcPid, "{}");
	}
}

PG_FUNCTION_INFO_V1(pm_reset);

/*
 * reset(pool text). Everything up to now is counted before, so that none of it
 * comes later.
 */
Datum
pm_reset(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	PmTally		tally;
	PmOpen		open;
	bool		pool = false;
	bool		application = false;
	int64		now;

	pm_require_preload();
	pm_settle_all(&tally, &open);
	now = pm_monotonic_us();

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	if (name == NULL)
		reset_all(&open, now);
	else
		reset_named(tally.rules, name, &open, now, &pool, &application);
	LWLockRelease(&pm_accounts->lock.lock);
	if (name != NULL && !pool && !application)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no pool or application \"%s\" in pool_stats", name),
				 errhint("Give the name of a declared pool, of a discovered application, or none at all to reset everything.")));
	pg_atomic_write_u32(&pm_event_ring->save_wanted, 1);
	pm_wake_worker();
	tell_of_reset(name, pool, application);
	PG_RETURN_VOID();
}
