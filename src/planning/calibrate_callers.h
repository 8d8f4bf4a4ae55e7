/*
 * calibrate_callers.h
 *		Whether, and how many, callers wait for their answer before they ask again. As simulate.h.
 */
#ifndef PM_CALIBRATE_CALLERS_H
#define PM_CALIBRATE_CALLERS_H

#include "planning/likely.h"

extern void pm_calibrate_callers(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated, int64 budget);

#endif							/* PM_CALIBRATE_CALLERS_H */
