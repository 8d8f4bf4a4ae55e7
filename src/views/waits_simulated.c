/*
 * waits_simulated.c
 *		waits_simulated(): for the advice, who waits, where Erlang's formula is wrong.
 */
#include "postgres.h"

#include "base/result.h"
#include "base/shmem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "views/brief.h"

/* The pool's place among those that are declared; -1: it is not. */
static int
find_pool(const PmRules *rules, const char *name)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (strcmp(rules->pools[i].name, name) == 0)
			return i;
	}
	return -1;
}

static void
put_answer(PmRow *row, PmBriefAnswer answer)
{
	pm_put(row, Float8GetDatum(answer.waiting));
	pm_put(row, Float8GetDatum(answer.timeouts));
}

PG_FUNCTION_INFO_V1(pm_waits_simulated);

/* waits_simulated(pool text, span interval, pool_size int, max_overflow int) */
Datum
pm_waits_simulated(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmSpan		past;
	const PmRules *rules;
	const PmPool *pool;
	PmQuestion	asked = {0};
	PmBrief    *brief = palloc0(sizeof(PmBrief));
	PmRow		row = {0};
	int			place;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	past = pm_question_span(fcinfo, 1);
	rules = pm_rules_current();
	place = find_pool(rules, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (place < 0)
		return (Datum) 0;
	asked.pool = pool = &rules->pools[place];
	asked.processes = pool->servers * pool->workers;
	pm_question_ask_sizes(fcinfo, 2, &asked);
	if (!pm_brief_begin(brief, pool, rules->accounts[place], past) || brief->is_off)
		return (Datum) 0;
	put_answer(&row, pm_brief_ask(brief, pool->pool_size, pool->max_overflow));
	put_answer(&row, pm_brief_ask(brief, asked.pool_size, asked.max_overflow));
	pm_put_row(result, &row);
	return (Datum) 0;
}
