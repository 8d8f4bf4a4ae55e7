/*
 * lintguard.h
 *		What is odd about guards that are valid.
 */
#ifndef PM_LINTGUARD_H
#define PM_LINTGUARD_H

#include "pools/finding.h"
#include "pools/rules.h"

extern void pm_lint_guard(const PmPool *pool, PmFindingCallback tell, void *arg);
extern void pm_lint_guards(const PmPool *pools, int npools, const bool *about, PmFindingCallback tell, void *arg);

#endif							/* PM_LINTGUARD_H */
