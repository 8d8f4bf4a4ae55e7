/*
 * bygone.h
 *		Ends of what pools were in whose declarations are no longer in force.
 */
#ifndef PM_BYGONE_H
#define PM_BYGONE_H

#include "worker/statuses.h"

extern int	pm_bygone_find(const PmRules *rules);

/* Callers hold lock; the declarations in force are those of pm_bygone_find(). */
extern int	pm_bygone_take(PmChange *changes);
extern void pm_bygone_keep(const PmRules *rules, int pool);

#endif							/* PM_BYGONE_H */
