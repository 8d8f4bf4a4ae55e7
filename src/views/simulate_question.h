/*
 * simulate_question.h
 *		What simulate() is asked for.
 */
#ifndef PM_SIMULATE_QUESTION_H
#define PM_SIMULATE_QUESTION_H

#include "fmgr.h"
#include "history/read.h"
#include "pools/declared.h"
#include "pools/rules.h"

typedef struct PmQuestion
{
	char	   *name;
	const PmPool *pool;
	int			account;
	int			processes;
	int			pool_size;
	int			max_overflow;
	int64		pool_timeout;	/* us */
	PmSpan		span;
	double		load;
	int64		seed;
} PmQuestion;

extern PmSpan pm_question_span(FunctionCallInfo fcinfo, int arg);
extern void pm_question_ask_sizes(FunctionCallInfo fcinfo, int arg, PmQuestion *question);
extern void pm_question_ask(FunctionCallInfo fcinfo, PmQuestion *question, const PmRules *rules);

#endif							/* PM_SIMULATE_QUESTION_H */
