/*
 * arrivals.h
 *		How unevenly holds began: the index of dispersion. Pure.
 */
#ifndef PM_ARRIVALS_H
#define PM_ARRIVALS_H

#include "history/rings.h"

#define PM_DISPERSION_UNKNOWN	(-1.0)

extern double pm_dispersion(const PmBucket *minutes, int n);

#endif							/* PM_ARRIVALS_H */
