/*
 * lint.c
 *		What is odd about declarations that are valid.
 *
 * A pool that another one shadows is found by the patterns themselves, field by field: one
 * earlier pool that takes all of it. That several together do is not found.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "base/guc.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pools/lint.h"
#include "pools/lintguard.h"
#include "pools/lintnames.h"
#include "pools/patterns.h"
#include "utils/inet.h"

#define MOST_NAMES		3		/* of pools, in one sentence */
#define MOST_WARNINGS	10

/* One look at all of them. */
typedef struct Lint
{
	const PmPool *pools;		/* in matching order */
	int			npools;
	const bool *about;			/* of each: is it to be told of? NULL: all are */
	bool	   *explained;		/* of each: is it known why it has no
								 * sessions? */
	PmFindingCallback tell;
	void	   *arg;
	PmCatalogNames databases;
	PmCatalogNames roles;
} Lint;

static bool
is_about(const Lint *lint, int i)
{
	return lint->about == NULL || lint->about[i];
}

static void
tell(const Lint *lint, int i, const char *rule, const char *finding, const char *evidence, const char *recommendation)
{
	PmFinding	found = {
		.pool = i >= 0 ? lint->pools[i].name : NULL,
		.rule = rule,
		.finding = finding,
		.evidence = evidence,
		.recommendation = recommendation,
	};

	lint->tell(&found, lint->arg);
}

/* ---- who takes whose sessions ---- */

static void
add_pattern(StringInfo to, const char *column, const PmPattern *pattern)
{
	if (pattern->limited)
		appendStringInfo(to, "%s%s '%s'", to->len > 0 ? ", " : "", column, pm_lint_text(pattern->like));
}

static void
add_network(StringInfo to, const PmNetwork *network)
{
	char		text[64];
	int			family = network->addr.family == 4 ? PGSQL_AF_INET : PGSQL_AF_INET6;

	if (network->limited && pg_inet_net_ntop(family, network->addr.bytes, network->bits, text, sizeof(text)) != NULL)
		appendStringInfo(to, "%sclient_addr %s", to->len > 0 ? ", " : "", text);
}

/* What it asks for. */
static const char *
asks_for(const PmPool *pool)
{
	StringInfoData text;

	initStringInfo(&text);
	add_pattern(&text, "application_name", &pool->application_name);
	add_pattern(&text, "datname", &pool->datname);
	add_pattern(&text, "usename", &pool->usename);
	add_network(&text, &pool->client_addr);
	return text.len > 0 ? text.data : "any session";
}

static void
tell_shadowed(const Lint *lint, int i, int by)
{
	const PmPool *pool = &lint->pools[i];
	const PmPool *other = &lint->pools[by];

	if (pm_pool_covers(pool, other))
		tell(lint, i, "duplicate",
			 psprintf("pool \"%s\" gets no session: pool \"%s\" comes before it, and asks for the same",
					  pool->name, other->name),
			 psprintf("both ask for %s", asks_for(pool)),
			 "Delete one of them, or tell them apart by database, role or address.");
	else
		tell(lint, i, "shadowed",
			 psprintf("pool \"%s\" gets no session: pool \"%s\" comes before it, and takes all that it could",
					  pool->name, other->name),
			 psprintf("pool \"%s\" takes %s; pool \"%s\" %s", other->name, asks_for(other), pool->name, asks_for(pool)),
			 psprintf("Give it a lower priority than pool \"%s\" has, or the same: then the more specific one comes first.",
					  other->name));
}

/* The pool takes everything: who gets nothing by it? */
static void
check_catch_all(const Lint *lint, int i)
{
	StringInfoData names;
	int			after = 0;

	initStringInfo(&names);
	for (int j = i + 1; j < lint->npools; j++)
	{
		if (pm_pool_takes_all(&lint->pools[j]))
			continue;			/* a duplicate */
		if (after++ < MOST_NAMES)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", lint->pools[j].name);
	}
	if (after > 0)
		tell(lint, i, "catch_all",
			 psprintf("pool \"%s\" takes every session, and comes before others, which get none", lint->pools[i].name),
			 psprintf("after it: %s%s", names.data,
					  after > MOST_NAMES ? psprintf(" and %d more", after - MOST_NAMES) : ""),
			 "Give it the highest priority of all, or what the others have: then it comes last.");
}

/* The first of those before it that takes all of it, of what is told of; -1: none. */
static int
shadowed_by(const Lint *lint, int i)
{
	for (int j = 0; j < i; j++)
	{
		if ((is_about(lint, i) || is_about(lint, j)) && pm_pool_covers(&lint->pools[j], &lint->pools[i]))
			return j;
	}
	return -1;
}

/* What is after a pool that takes everything is told in one sentence, of that. */
static void
check_order(const Lint *lint, int i)
{
	const PmPool *pool = &lint->pools[i];
	int			by = shadowed_by(lint, i);
	bool		in_one;

	if (by < 0)
	{
		if (pm_pool_takes_all(pool) && is_about(lint, i))
			check_catch_all(lint, i);
		return;
	}
	lint->explained[i] = true;
	in_one = pm_pool_takes_all(&lint->pools[by]) && !pm_pool_takes_all(pool);
	if (in_one ? is_about(lint, i) && !is_about(lint, by) : is_about(lint, i) || is_about(lint, by))
		tell_shadowed(lint, i, by);
}

/* ---- what a pool asks for ---- */

static void
check_glob(const Lint *lint, int i, const char *column, const PmPattern *pattern)
{
	if (pattern->limited && pattern->like[strcspn(pattern->like, "%")] == '\0' &&
		(strchr(pattern->like, '*') != NULL ||
		 (strchr(pattern->like, '?') != NULL && strchr(pattern->like, '_') == NULL)))
		tell(lint, i, "glob",
			 psprintf("the %s of pool \"%s\" looks like a glob, but it is a LIKE pattern", column, lint->pools[i].name),
			 psprintf("%s '%s': * and ? stand for themselves", column, pm_lint_text(pattern->like)),
			 "Write % for any text, and _ for one character.");
}

static void
check_exists(const Lint *lint, int i, const char *rule, const char *what, const char *column, const PmPattern *pattern,
			 bool exists)
{
	if (exists)
		return;
	lint->explained[i] = true;
	tell(lint, i, rule,
		 psprintf("pool \"%s\" asks for a %s that does not exist", lint->pools[i].name, what),
		 psprintf("%s '%s'", column, pm_lint_text(pattern->like)),
		 psprintf("Create the %s, or correct the declaration.", what));
}

static void
check_pool(Lint *lint, int i)
{
	const PmPool *pool = &lint->pools[i];
	int			usable = pm_usable_connections();

	check_glob(lint, i, "application_name", &pool->application_name);
	check_glob(lint, i, "datname", &pool->datname);
	check_glob(lint, i, "usename", &pool->usename);
	check_exists(lint, i, "no_database", "database", "datname", &pool->datname,
				 pm_database_exists(&lint->databases, &pool->datname));
	check_exists(lint, i, "no_role", "role", "usename", &pool->usename, pm_role_exists(&lint->roles, &pool->usename));
	if (pool->budget > usable)
		tell(lint, i, "budget",
			 psprintf("the budget of pool \"%s\" is larger than the server", pool->name),
			 psprintf("budget %d, %d connections usable", pool->budget, usable),
			 "Lower the pool, or raise max_connections.");
	pm_lint_guard(pool, lint->tell, lint->arg);
}

/* ---- the server ---- */

/* All together, where none is too large by itself. */
static void
check_server(const Lint *lint)
{
	PmDeclared	declared = pm_declared(lint->pools, lint->npools);
	int			usable = pm_usable_connections();

	for (int i = 0; i < lint->npools; i++)
	{
		if (lint->pools[i].budget > usable)
			return;
	}
	if (declared.budget > usable)
		tell(lint, -1, "ceilings", "the declared pools can open more connections than the server has",
			 psprintf("budgets with the largest surge %lld, %d connections usable", (long long) declared.budget, usable),
			 "Lower the pools, or raise max_connections: see the advice on overcommitted.");
}

/*
 * Tells what there is to say of the pools, which are in matching order: of those about is set
 * for, or of all. Sets explained for those of which it is said why they get no sessions. In
 * a transaction; allocates in the current memory context.
 */
void
pm_lint(const PmPool *pools, int npools, const bool *about, bool *explained, PmFindingCallback tell, void *arg)
{
	Lint		lint = {.pools = pools,.npools = npools,.about = about,.explained = explained,.tell = tell,.arg = arg};

	for (int i = 0; i < npools; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_order(&lint, i);
		if (is_about(&lint, i))
			check_pool(&lint, i);
	}
	check_server(&lint);
	pm_lint_guards(pools, npools, about, tell, arg);
}

/* ---- as warnings ---- */

/* A callback of pm_lint(). */
void
pm_lint_warn(const PmFinding *finding, void *arg)
{
	PmWarnings *warnings = arg;

	if (warnings->told++ >= MOST_WARNINGS)
	{
		warnings->left_out++;
		return;
	}
	ereport(WARNING,
			(errmsg("%s", finding->finding),
			 errdetail("%s.", finding->evidence),
			 errhint("%s", finding->recommendation)));
}

void
pm_lint_warned(const PmWarnings *warnings)
{
	if (warnings->left_out > 0)
		ereport(WARNING,
				(errmsg("%d more findings about the declared pools", warnings->left_out),
				 errhint("See pool_monitor.lint().")));
}
