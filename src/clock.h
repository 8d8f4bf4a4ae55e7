/*
 * clock.h
 *		The clock for deadlines: one that nobody sets, the same in all processes
 *		of the machine. Async-signal-safe.
 */
#ifndef PM_CLOCK_H
#define PM_CLOCK_H

#include <time.h>

/* Microseconds since an unknown moment, never less than before. */
static inline int64
pm_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The same in milliseconds. */
static inline int64
pm_monotonic_ms(void)
{
	return pm_monotonic_us() / 1000;
}

#endif							/* PM_CLOCK_H */
