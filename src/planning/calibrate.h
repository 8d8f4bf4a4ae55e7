/*
 * calibrate.h
 *		What a simulation of the sizes of then says beside what was measured then. As
 *		simulate.h.
 */
#ifndef PM_CALIBRATE_H
#define PM_CALIBRATE_H

#include "planning/simulation.h"

#define PM_NOT_MEASURED	(-1.0)

/* Each may be PM_NOT_MEASURED. */
typedef struct PmMeasured
{
	double		exhausted;		/* share of time with all busy at the ceiling */
	double		overflow;		/* share of time above base */
	double		waiting;		/* share of checkouts, as clients report */
	double		mean_wait;		/* s, of all checkouts; likewise */
	double		timeouts;		/* share of checkouts; likewise */
} PmMeasured;

extern void pm_calibrate(PmSimulation *simulation, const PmMeasured *measured, PmSimulated *simulated);
extern char *pm_calibration(const PmMeasured *measured, const PmSimulated *simulated);

#endif							/* PM_CALIBRATE_H */
