/*
 * yield.h
 *		Who gives way to a login that the guard has refused.
 */
#ifndef PM_YIELD_H
#define PM_YIELD_H

extern void pm_yield_start(void);
extern int64 pm_yield_tick(void);

#endif							/* PM_YIELD_H */
