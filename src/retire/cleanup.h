/*
 * cleanup.h
 *		The scheduled clean-up.
 */
#ifndef PM_CLEANUP_H
#define PM_CLEANUP_H

extern int64 pm_cleanup_answers(void);
extern int64 pm_cleanup_tick(void);

#endif							/* PM_CLEANUP_H */
