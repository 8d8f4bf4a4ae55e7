/*
 * lint.h
 *		What is odd about declarations that are valid.
 */
#ifndef PM_LINT_H
#define PM_LINT_H

#include "pools/finding.h"
#include "pools/rules.h"

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
