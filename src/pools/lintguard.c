/*
 * lintguard.c
 *		What is odd about guards that are valid: one that does nothing, less than it seems to,
 *		or more than is good for others.
 *
 * Whoever does what is recommended has one finding less and no other one, or one of which the
 * recommendation ends it.
 */
#include "postgres.h"

#include "base/guc.h"
#include "lib/stringinfo.h"
#include "pools/lintguard.h"
#include "pools/patterns.h"
#include "pools/reserves.h"

#define DEFAULT_CONNECT_BURST	20	/* the column's */
#define MOST_RESERVED_PERCENT	80	/* of what can be, without a finding */

static void
add(StringInfo to, bool is_so, const char *what)
{
	if (is_so)
		appendStringInfo(to, "%s%s", to->len > 0 ? ", " : "", what);
}

/* Of a pool whose guard is off. */
static void
check_off(const PmPool *pool, PmFinding *found, PmFindingCallback tell, void *arg)
{
	StringInfoData unused;

	initStringInfo(&unused);
	add(&unused, pool->reserved > 0, psprintf("reserved %d", pool->reserved));
	add(&unused, pool->connect_rate >= 0, psprintf("connect_rate %d", pool->connect_rate));
	add(&unused, pool->guard_superusers, "guard_superusers");
	if (unused.len == 0)
		return;
	found->rule = "guard_off";
	found->finding = psprintf("pool \"%s\" asks for a guard, but its guard is off", pool->name);
	found->evidence = psprintf("%s, without effect", unused.data);
	found->recommendation = "Set guard to report to see what it would refuse, or take these back.";
	tell(found, arg);
}

static void
check_limits(const PmPool *pool, PmFinding *found, PmFindingCallback tell, void *arg)
{
	if (pool->budget < 0 && pool->reserved == 0 && pool->connect_rate < 0)
	{
		found->rule = "guard_without_limit";
		found->finding = psprintf("the guard of pool \"%s\" has no limit to keep", pool->name);
		found->evidence = "no ceiling and no budget, nothing reserved, no connect_rate";
		found->recommendation = "Declare a budget, or set guard to off.";
		tell(found, arg);
	}
	if (pool->reserved > pool->base && !pool->grows_from_zero)
	{
		found->rule = "guard_reserve";
		found->finding = psprintf("pool \"%s\" has more reserved than it keeps open at rest", pool->name);
		found->evidence = psprintf("reserved %d, base %d: the others are kept from all other pools also when it does not need them",
								   pool->reserved, pool->base);
		found->recommendation = "Lower reserved to base, or correct pool_size if it keeps more.";
		tell(found, arg);
	}
}

/* Whoever logs in chooses his application_name. */
static void
check_name(const PmPool *pool, PmFinding *found, PmFindingCallback tell, void *arg)
{
	if (pool->guard != PM_GUARD_ENFORCE || pm_pattern_limits(&pool->datname) ||
		pm_pattern_limits(&pool->usename) || (pool->client_addr.limited && pool->client_addr.bits > 0))
		return;
	found->rule = "guard_by_name";
	found->finding = psprintf("whose logins the guard of pool \"%s\" refuses is what clients call themselves", pool->name);
	found->evidence = "it asks for an application_name alone: with another one a client evades its limit, with this one anybody takes its connections";
	found->recommendation = "Ask for usename as well.";
	tell(found, arg);
}

/* Tells what there is to say of one pool's guard. Allocates in the current memory context. */
void
pm_lint_guard(const PmPool *pool, PmFindingCallback tell, void *arg)
{
	PmFinding	found = {.pool = pool->name};

	if (pool->guard == PM_GUARD_OFF)
		check_off(pool, &found, tell, arg);
	else
	{
		check_limits(pool, &found, tell, arg);
		check_name(pool, &found, tell, arg);
	}
	if (pool->connect_rate < 0 && pool->connect_burst != DEFAULT_CONNECT_BURST)
	{
		found.rule = "guard_burst";
		found.finding = psprintf("connect_burst of pool \"%s\" has no effect without connect_rate", pool->name);
		found.evidence = psprintf("connect_burst %d", pool->connect_burst);
		found.recommendation = psprintf("Declare a connect_rate, or set connect_burst to its default of %d.", DEFAULT_CONNECT_BURST);
		tell(&found, arg);
	}
}

/* Those that are only tried out count, too: they are to be in force later. */
static int
reserve_asked_for(const PmPool *pool)
{
	return pool->guard != PM_GUARD_OFF ? pool->reserved : 0;
}

/* Of all reserves, where one of those that are told of has any. */
static void
check_reserves(const PmPool *pools, int npools, const bool *about, PmFindingCallback tell, void *arg)
{
	int64		most = Max(pm_usable_connections() - PM_LEFT_TO_OTHERS, 0);
	int64		reserved = 0;
	int64		tried_out = 0;
	bool		told = false;
	PmFinding	found = {.rule = "guard_reserves"};

	for (int i = 0; i < npools; i++)
	{
		reserved += reserve_asked_for(&pools[i]);
		tried_out += reserve_asked_for(&pools[i]) - pm_reserve_in_force(&pools[i]);
		told |= reserve_asked_for(&pools[i]) > 0 && (about == NULL || about[i]);
	}
	if (!told || reserved * 100 <= most * MOST_RESERVED_PERCENT)
		return;
	found.finding = reserved > most ? "the pools reserve more connections than the server can keep for them" :
		"the pools reserve nearly all that can be reserved";
	found.evidence = psprintf("%lld reserved%s, of %lld that can be: %d connections are usable, and %d of them stay anybody's",
							  (long long) reserved, tried_out > 0 ? psprintf(" (%lld of them with guard report)", (long long) tried_out) : "",
							  (long long) most, pm_usable_connections(), PM_LEFT_TO_OTHERS);
	found.recommendation = psprintf("Lower reserved of some pools, to %lld together, or raise max_connections.",
									(long long) most * MOST_RESERVED_PERCENT / 100);
	tell(&found, arg);
}

/* None of them does anything while the switch is off, and nobody may know that any more. */
static void
check_switch(const PmPool *pools, int npools, PmFindingCallback tell, void *arg)
{
	int			guards = pm_undeclared_guard != PM_GUARD_OFF ? 1 : 0;
	PmFinding	found = {
		.rule = "guard_disabled",
		.finding = "guards are declared, and all are switched off",
		.recommendation = "Set pool_monitor.guard_enabled to on, or the guards to off.",
	};

	for (int i = 0; i < npools; i++)
		guards += pools[i].guard != PM_GUARD_OFF ? 1 : 0;
	if (guards == 0 || pm_guard_enabled)
		return;
	found.evidence = psprintf("guard_enabled is off, with %d to report or to enforce", guards);
	tell(&found, arg);
}

/*
 * Likewise, of all guards together; the settings are not what one writes with a row, so they
 * are told of only when all pools are.
 */
void
pm_lint_guards(const PmPool *pools, int npools, const bool *about, PmFindingCallback tell, void *arg)
{
	PmFinding	found = {
		.rule = "guard_undeclared",
		.finding = "what is in no declared pool has a guard, and no limit to keep",
		.evidence = psprintf("undeclared_guard %s, undeclared_budget %d", pm_guard_mode_name(pm_undeclared_guard), pm_undeclared_budget),
		.recommendation = "Set pool_monitor.undeclared_budget or undeclared_connect_rate, or pool_monitor.undeclared_guard to off.",
	};

	check_reserves(pools, npools, about, tell, arg);
	if (about != NULL)
		return;
	check_switch(pools, npools, tell, arg);
	if (pm_undeclared_guard != PM_GUARD_OFF && pm_undeclared_budget < 0 && pm_undeclared_connect_rate < 0)
		tell(&found, arg);
}
