/*
 * sizes.h
 *		How large a pool is declared, and since when: what it did before that was measured
 *		against other sizes.
 */
#ifndef PM_SIZES_H
#define PM_SIZES_H

#include "datatype/timestamp.h"

typedef struct PmSizes
{
	int64		base;			/* these as in PmPool */
	int64		ceiling;
	int64		budget;
	TimestampTz since;			/* 0: no sizes are known; DT_NOBEGIN: they
								 * were never others */
} PmSizes;

extern void pm_sizes_become(PmSizes *sizes, int64 base, int64 ceiling, int64 budget, TimestampTz now);
extern void pm_sizes_merge(PmSizes *sizes, const PmSizes *earlier);

#endif							/* PM_SIZES_H */
