/*
 * lint.c
 *		lint(): what is odd about the declarations in force.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "accounts/figures.h"
#include "base/result.h"
#include "base/shmem.h"
#include "pools/declared.h"
#include "pools/lint.h"
#include "pools/values.h"
#include "utils/timestamp.h"
#include "views/lint.h"

#define UNMATCHED_AFTER	USECS_PER_HOUR

/* "3 days", in the largest unit. */
static const char *
span(int64 us)
{
	static const struct
	{
		int64		us;
		const char *name;
	}			units[] = {{USECS_PER_DAY, "days"}, {USECS_PER_HOUR, "hours"}, {USECS_PER_MINUTE, "minutes"}, {USECS_PER_SEC, "seconds"}};
	int			unit = 0;

	while (unit < (int) lengthof(units) - 1 && us < 2 * units[unit].us)
		unit++;
	return psprintf("%lld %s", (long long) (us / units[unit].us), units[unit].name);
}

/* Logins that would have been its sessions, had they come to anything. */
static uint64
failed_logins(const PmFigures *figures)
{
	return figures->counters[PM_REFUSED] + figures->counters[PM_REJECTED] + figures->counters[PM_AUTH_FAILURES];
}

/* Is there, or was there, a session of it, also one that took its name later? */
static bool
had_sessions(const PmFigures *figures)
{
	return figures->connections > 0 || figures->counters[PM_CONNECTS] > 0 || figures->counters[PM_TAKEN_OVER] > 0;
}

/* A pool without a session since its counters began, and that is so long ago. */
static void
check_matched(const PmPool *pool, int account, int64 after, TimestampTz now, PmFindingCallback tell, void *arg)
{
	PmFigures  *figures = palloc(sizeof(PmFigures));
	PmFinding	found = {.pool = pool->name,.rule = "unmatched"};

	if (pm_account_figures(account, figures, true) && !had_sessions(figures) && now - figures->stats_reset >= after)
	{
		uint64		failed = failed_logins(figures);

		found.finding = psprintf("pool \"%s\" has never had a session", pool->name);
		found.evidence = psprintf("none for %s, since its counters began%s", span(now - figures->stats_reset),
								  failed > 0 ? psprintf("; " UINT64_FORMAT " logins failed", failed) : "");
		found.recommendation = failed > 0 ?
			"See in pool_monitor.events why its logins fail." :
			"See in pool_monitor.applications under which names the application logs in, "
			"and by which_pool() who takes it.";
		tell(&found, arg);
	}
	pfree(figures);
}

static void
lint_declarations(int64 unmatched_after, PmFindingCallback tell, void *arg)
{
	const PmRules *rules = pm_rules_current();
	bool	   *explained = palloc0(rules->npools + 1);
	TimestampTz now = GetCurrentTimestamp();

	pm_lint(rules->pools, rules->npools, NULL, explained, tell, arg);

	/*
	 * declarations are the primary's: a pool that is not on the standby is
	 * not wrong
	 */
	if (RecoveryInProgress())
		return;
	for (int i = 0; i < rules->npools; i++)
	{
		if (!explained[i])
			check_matched(&rules->pools[i], rules->accounts[i], unmatched_after, now, tell, arg);
	}
}

void
pm_warn_of_declarations(void)
{
	PmWarnings	warnings = {0};

	lint_declarations(UNMATCHED_AFTER, pm_lint_warn, &warnings);
	pm_lint_warned(&warnings);
}

static void
put_finding(const PmFinding *finding, void *arg)
{
	PmRow		row = {0};

	pm_put_text(&row, finding->pool);
	pm_put_text(&row, finding->rule);
	pm_put_text(&row, finding->finding);
	pm_put_text(&row, finding->evidence);
	pm_put_text(&row, finding->recommendation);
	pm_put_row(arg, &row);
}

PG_FUNCTION_INFO_V1(pm_lint_sql);

/* lint(unmatched_after interval) */
Datum
pm_lint_sql(PG_FUNCTION_ARGS)
{
	int64		after;

	pm_require_preload();
	pm_warn_if_never_loaded();
	if (PG_ARGISNULL(0) || !pm_interval_us(PG_GETARG_INTERVAL_P(0), &after) || after < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("unmatched_after must not be NULL, negative, or infinite")));
	InitMaterializedSRF(fcinfo, 0);
	lint_declarations(after, put_finding, fcinfo->resultinfo);
	return (Datum) 0;
}
