/*
 * counters.c
 *		What is known of each counter.
 */
#include "postgres.h"

#include "accounts/counters.h"

const PmCounterInfo pm_counters[PM_NUM_COUNTERS] = {
#define PM_COUNTER(id, name, end, kept, unit) {name, end, kept, unit},
#include "accounts/counterlist.h"
#undef PM_COUNTER
};

/* Sessions that have ended, in whatever way. */
uint64
pm_ended(const uint64 *counters)
{
	uint64		sum = 0;

	for (int i = 0; i < PM_NUM_COUNTERS; i++)
	{
		if (pm_counters[i].end != NULL)
			sum += counters[i];
	}
	return sum;
}

/* Sessions that have come and not gone. */
int64
pm_still_there(const uint64 *counters)
{
	return (int64) (counters[PM_CONNECTS] + counters[PM_TAKEN_OVER] - counters[PM_GIVEN_OVER] - pm_ended(counters));
}

/* All that the history keeps, in one go. */
void
pm_kept_all(const uint64 *counters, uint64 *kept)
{
	memset(kept, 0, PM_NUM_KEPT * sizeof(uint64));
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
	{
		if (pm_counters[i].end != NULL)
			kept[PM_KEPT_ENDS] += counters[i];
		if (pm_counters[i].kept < PM_NUM_KEPT)
			kept[pm_counters[i].kept] += counters[i];
	}
}

/* One of these. */
uint64
pm_kept(const uint64 *counters, PmKept which)
{
	uint64		sum = 0;

	if (which == PM_KEPT_ENDS)
		return pm_ended(counters);
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
	{
		if (pm_counters[i].kept == which)
			sum += counters[i];
	}
	return sum;
}

/* Is it a time, in us, as clients' pools say it? */
bool
pm_is_reported_time(PmKept which)
{
	return which == PM_KEPT_WAITED_US || which == PM_KEPT_CHECKED_OUT_US || which == PM_KEPT_REPORTED_OPEN_US;
}

/* Is it what clients' pools say of themselves, which nobody can check? */
bool
pm_is_reported(PmKept which)
{
	return which == PM_KEPT_CHECKOUTS || which == PM_KEPT_CHECKOUT_WAITS || which == PM_KEPT_CHECKOUT_TIMEOUTS ||
		which == PM_KEPT_TIMED_CHECKOUTS ||
		pm_is_reported_time(which);
}
