/*
 * lint.h
 *		What is odd about the declarations in force.
 */
#ifndef PM_VIEWS_LINT_H
#define PM_VIEWS_LINT_H

/* As warnings. */
extern void pm_warn_of_declarations(void);

#endif							/* PM_VIEWS_LINT_H */
