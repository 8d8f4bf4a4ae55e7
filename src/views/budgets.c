/*
 * budgets.c
 *		The view budgets: each declared pool beside what the server sees of it now.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "base/result.h"
#include "base/shmem.h"
#include "client/reports.h"
#include "client/speaks.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/timestamp.h"
#include "views/common.h"

/* What its processes reported of checkouts, in sum since reset(). */
static const PmCounter reported[] = {PM_CHECKOUT_WAITS, PM_WAITED_US, PM_CHECKOUT_TIMEOUTS};

/*
 * Peak and status are never behind what is seen right now, though the sampler
 * may not have moved sessions to a pool that was just declared.
 */
static void
put_budget(ReturnSetInfo *result, const PmPool *pool, int account, const PmCounts *counts,
		   const PmPoolState *state, int waiting, const PmTally *tally)
{
	PmRow		row = {0};
	PmStanding	standing = pm_standing(counts, account, tally->at);
	PmStatus	status = pm_pool_status(pool, &standing);
	uint64		peak = pg_atomic_read_u64(&pm_accounts->all[account].peak);
	bool		new_peak = counts->connections > PM_PEAK_COUNT(peak);

	pm_put_text(&row, pool->name);
	pm_put_bound(&row, pool->base);
	pm_put_bound(&row, pool->ceiling);
	pm_put_bound(&row, pool->budget);
	pm_put_int(&row, counts->connections);
	pm_put_counts(&row, counts);
	pm_put_int(&row, pm_overflow(pool, counts->connections));
	pm_put_int(&row, pool->budget < 0 ? 0 : Max(counts->connections - pool->budget, 0));
	pm_put_int(&row, new_peak ? counts->connections : PM_PEAK_COUNT(peak));
	pm_put_time(&row, new_peak ? tally->now : pm_peak_at(peak));
	pm_put_findings(&row, counts);
	pm_put_longest(&row, counts);
	pm_put_text(&row, pm_status_name(status));
	pm_put_time(&row, pm_shown_since(state->status, state->status_since, status, PM_STATUS_EXHAUSTED, tally->now));
	pm_put_bound(&row, waiting);
	for (int i = 0; i < (int) lengthof(reported); i++)
		pm_put_counter(&row, reported[i], pm_account_since_reset(account, reported[i]));
	pm_put_row(result, &row);
}

/* Of each pool, who waits for a connection as its processes report; -1: none does. */
static int *
count_waiting(const PmRules *rules, TimestampTz now)
{
	int		   *waiting = palloc(sizeof(int) * (rules->npools + 1));
	PmClientProcess *processes = palloc(sizeof(PmClientProcess) * pm_max_client_processes);
	int			n = pm_reports_copy(processes);
	PmNameIndex index;

	pm_name_index_init(&index, rules->npools);
	for (int i = 0; i < rules->npools; i++)
	{
		waiting[i] = -1;
		pm_name_index_add(&index, rules->pools[i].name, i);
	}
	for (int i = 0; i < n; i++)
	{
		const PmClientProcess *process = &processes[i];
		int			pool = process->owner.discovered ? -1 : pm_name_index_find(&index, process->owner.name);

		if (pool >= 0 && process->report.waiting >= 0 && now - process->at < PM_REPORT_COUNTS &&
			pm_still_speaks(process, &rules->pools[pool]))
			waiting[pool] = Max(waiting[pool], 0) + process->report.waiting;
	}
	return waiting;
}

static PmCounts *
count_pools(PmTally *tally)
{
	PmCounts   *pools = palloc0(sizeof(PmCounts) * (tally->rules->npools + 1));
	PmScan		scan;
	const PmSession *session;

	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmFlags		flags;

		if (session->class->pool < 0)
			continue;
		flags = pm_tally_flags(tally, session);
		pm_count(tally, &pools[session->class->pool], session, &flags);
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
	int		   *waiting;

	pm_require_preload();
	pm_warn_if_never_loaded();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	do
	{
		pm_tally_begin(&tally);
		pools = count_pools(&tally);
		states = palloc0(sizeof(PmPoolState) * (tally.rules->npools + 1));
	} while (!pm_states_copy(tally.rules, states));

	waiting = count_waiting(tally.rules, tally.now);
	for (int i = 0; i < tally.rules->npools; i++)
		put_budget(result, &tally.rules->pools[i], tally.rules->accounts[i], &pools[i],
				   &states[i], waiting[i], &tally);
	return (Datum) 0;
}
