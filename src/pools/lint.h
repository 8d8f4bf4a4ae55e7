/*
 * lint.h
 *		What is odd about declarations that are valid.
 */
#ifndef PM_LINT_H
#define PM_LINT_H

#include "pools/rules.h"

/* Sentences without their full stop, but for recommendation, which is sentences. */
typedef struct PmFinding
{
	const char *pool;			/* NULL: the server */
	const char *rule;
	const char *finding;
	const char *evidence;
	const char *recommendation;
} PmFinding;

typedef void (*PmFindingCallback) (const PmFinding *finding, void *arg);

/* What was said as a WARNING, and how much was not. */
typedef struct PmWarnings
{
	int			told;
	int			left_out;
} PmWarnings;

extern void pm_lint(const PmPool *pools, int npools, const bool *about, bool *explained,
					PmFindingCallback tell, void *arg);
extern void pm_lint_warn(const PmFinding *finding, void *warnings);
extern void pm_lint_warned(const PmWarnings *warnings);

#endif							/* PM_LINT_H */
