/*
 * calibrate_callers.h
 *		Whether, and how many, callers wait for their answer before they ask again. As simulate.h.
 */
#ifndef PM_CALIBRATE_CALLERS_H
#define PM_CALIBRATE_CALLERS_H

#include "planning/likely.h"

extern bool pm_calibrate_callers(PmSimulation *simulation, const PmMeasured *measured, const PmSimulated *simulated);

#endif							/* PM_CALIBRATE_CALLERS_H */
