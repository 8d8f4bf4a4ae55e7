/*
 * speaks.h
 *		Whose reports of a pool count.
 */
#ifndef PM_SPEAKS_H
#define PM_SPEAKS_H

#include "client/reports.h"
#include "pools/rules.h"

extern bool pm_may_speak(int account);
extern bool pm_still_speaks(const PmClientProcess *process, const PmPool *pool);

#endif							/* PM_SPEAKS_H */
