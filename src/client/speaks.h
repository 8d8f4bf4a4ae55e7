/*
 * speaks.h
 *		Whose reports of a pool count.
 */
#ifndef PM_SPEAKS_H
#define PM_SPEAKS_H

extern bool pm_may_speak(int account);

#endif							/* PM_SPEAKS_H */
