/*
 * sizes.c
 *		How large a pool is declared, and since when.
 */
#include "postgres.h"

#include "accounts/sizes.h"
#include "utils/timestamp.h"

static bool
are(const PmSizes *sizes, int64 base, int64 ceiling, int64 budget)
{
	return sizes->since != 0 && sizes->base == base && sizes->ceiling == ceiling && sizes->budget == budget;
}

/* They are declared to be these. Caller holds the lock of accounts exclusively. */
void
pm_sizes_become(PmSizes *sizes, int64 base, int64 ceiling, int64 budget, TimestampTz now)
{
	if (are(sizes, base, ceiling, budget))
		return;
	sizes->base = base;
	sizes->ceiling = ceiling;
	sizes->budget = budget;
	sizes->since = sizes->since == 0 ? DT_NOBEGIN : now;
}

/*
 * What an earlier run of the server knew. The declarations may have been loaded before
 * it was read: then they were what they are now since that run, or changed since. Caller
 * holds the lock of accounts exclusively.
 */
void
pm_sizes_merge(PmSizes *sizes, const PmSizes *earlier)
{
	if (earlier->since == 0)
		return;
	if (sizes->since == 0 || are(sizes, earlier->base, earlier->ceiling, earlier->budget))
		*sizes = *earlier;
	else if (sizes->since == DT_NOBEGIN)
		sizes->since = GetCurrentTimestamp();
}
