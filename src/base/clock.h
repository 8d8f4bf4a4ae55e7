/*
 * clock.h
 *		The clock for deadlines: one that nobody sets, the same in all processes
 *		of the machine. Async-signal-safe.
 *
 * Wall clock less this one changes when the wall clock is set, and when the
 * machine was suspended, in which this one stands still. Slewing the clock, as
 * NTP does for small errors, moves both.
 */
#ifndef PM_CLOCK_H
#define PM_CLOCK_H

#include <time.h>

/* The wall clock was set, when wall less monotonic changes by so much; us. */
#define PM_CLOCK_STEP	INT64CONST(1000000)

/* Microseconds since an unknown moment, never less than before. */
static inline int64
pm_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + (uint32) now.tv_nsec / 1000;
}

/*
 * The same, at the last tick of the kernel's, up to 10 ms ago, or as long as the machine stood
 * still: a quarter of the price, or less. For who asks at each transaction.
 */
static inline int64
pm_monotonic_coarse_us(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64) now.tv_sec * 1000000 + (uint32) now.tv_nsec / 1000;
#else
	return pm_monotonic_us();
#endif
}

/* The same in milliseconds. */
static inline int64
pm_monotonic_ms(void)
{
	return pm_monotonic_us() / 1000;
}

#endif							/* PM_CLOCK_H */
