/*
 * patterns.h
 *		What declarations ask for, compared with each other: does one take all that
 *		the other does, and which of them is more specific. Pure, as rules.h.
 */
#ifndef PM_PATTERNS_H
#define PM_PATTERNS_H

#include "pools/rules.h"

/*
 * How specific a declaration is, the weightiest first; more is more specific, but for
 * percents. If one takes but a part of the other's sessions, it is more specific: it is so
 * in the first of these in which they differ, and they differ.
 */
typedef struct PmSpecificity
{
	int			fields;			/* that are constrained */
	int			exact;			/* of these, without a wildcard: one name, one
								 * address */
	int			literals;		/* characters that stand for themselves */
	int			bits;			/* of the network */
	int			percents;		/* "%": those that only wildcards part are one */
	int			underscores;
} PmSpecificity;

extern bool pm_pattern_covers(const PmPattern *wide, const PmPattern *narrow);
extern bool pm_pattern_literal(const PmPattern *pattern, char *name);
extern bool pm_pool_covers(const PmPool *wide, const PmPool *narrow);
extern bool pm_pattern_limits(const PmPattern *pattern);
extern bool pm_pool_limits(const PmPool *pool);
extern bool pm_pools_apart(const PmPool *a, const PmPool *b);
extern bool pm_pool_takes_all(const PmPool *pool);
extern PmSpecificity pm_specificity(const PmPool *pool);
extern int	pm_specificity_compare(const PmSpecificity *a, const PmSpecificity *b);

#endif							/* PM_PATTERNS_H */
