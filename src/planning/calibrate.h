/*
 * calibrate.h
 *		What a simulation of the sizes of then says beside what was measured then. As
 *		simulate.h.
 */
#ifndef PM_CALIBRATE_H
#define PM_CALIBRATE_H

#include "planning/likely.h"

extern void pm_calibrate(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated);
extern char *pm_calibration(const PmMeasured *measured, const PmSimulation *simulation, const PmSimulated *simulated);

#endif							/* PM_CALIBRATE_H */
