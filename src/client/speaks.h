/*
 * speaks.h
 *		Whose reports of a pool count.
 */
#ifndef PM_SPEAKS_H
#define PM_SPEAKS_H

#include "client/reports.h"

extern bool pm_may_speak(int account);
extern bool pm_still_speaks(const PmClientProcess *process);

#endif							/* PM_SPEAKS_H */
