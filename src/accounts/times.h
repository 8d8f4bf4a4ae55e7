/*
 * times.h
 *		How long sessions have lived, transactions have held and logins have taken, of
 *		an account: a histogram each. Pure: atomics only.
 *
 * They are large, and most of them empty or nearly so. So they lie apart from the accounts,
 * which say in a word which octaves have anything: what has nothing is neither read nor
 * cleared, and its memory never touched.
 */
#ifndef PM_TIMES_H
#define PM_TIMES_H

#include "base/histogram.h"
#include "port/atomics.h"

typedef enum PmTimesKind
{
	PM_LIFETIMES,
	PM_HOLDS,
	PM_SETUPS,
	PM_NUM_TIMES
} PmTimesKind;

/* Atomics, no lock. */
typedef struct PmTimes
{
	pg_atomic_uint64 counts[PM_BUCKETS];
} PmTimes;

/* octaves: the word of these times; bit n: there is something in octave n */
extern void pm_times_add(PmTimes *times, pg_atomic_uint64 *octaves, int bucket, int64 n);
extern void pm_times_read(PmTimes *times, pg_atomic_uint64 *octaves, uint64 *counts);
extern void pm_times_clear(PmTimes *times, pg_atomic_uint64 *octaves);

#endif							/* PM_TIMES_H */
