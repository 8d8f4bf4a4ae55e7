/*
 * pool_monitor_steps.c
 *		How many steps it takes to find a session's pool.
 *
 * The code that is measured is compiled into this library with a call in each of its basic
 * blocks, which counts: the same on any machine, however busy that is.
 */
#include "postgres.h"

#include "pools/rules.c"

#include "fmgr.h"
#include "utils/builtins.h"

/* A matcher that goes back again and again would not end. */
#define MOST_STEPS	INT64CONST(200000000)

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(match_steps);

/* what counts is put in behind the back of the optimizer */
static volatile int64 steps = 0;

extern void __sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize_coverage))
void
__sanitizer_cov_trace_pc(void)
{
	if (++steps > MOST_STEPS)
	{
		steps = 0;
		elog(ERROR, "more than " INT64_FORMAT " steps", MOST_STEPS);
	}
}

/*
 * match_steps(pattern text, name text, npools int): what it takes a login whose three names
 * are this one to find none of so many pools that ask for the pattern, by the application's
 * name in vain; -1: one of them matches.
 */
Datum
match_steps(PG_FUNCTION_ARGS)
{
	char	   *pattern = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			npools = PG_GETARG_INT32(2);
	PmPool	   *pools = palloc0(npools * sizeof(PmPool));
	uint8	   *leads = palloc0(pm_leads_size(npools));
	PmIdentity	who = {.application_name = name,.datname = name,.usename = name};
	int			found;

	for (int i = 0; i < npools; i++)
	{
		pm_pattern_set(&pools[i].application_name, pattern);
		leads[i] = pm_lead(&pools[i]);
	}
	steps = 0;
	found = pm_match(pools, leads, 0, npools, &who);
	PG_RETURN_INT64(found >= 0 ? -1 : steps);
}
