/*
 * times.c
 *		Histograms of durations, of which only those octaves are touched that have
 *		something.
 */
#include "postgres.h"

#include "accounts/times.h"

/*
 * First the count, then the word. Who clears goes the other way: then either the count
 * is cleared too, or the word is found without the bit.
 */
void
pm_times_add(PmTimes *times, pg_atomic_uint64 *octaves, int bucket, int64 n)
{
	uint64		bit = UINT64CONST(1) << (bucket / PM_OCTAVE_BUCKETS);

	pg_atomic_fetch_add_u64(&times->counts[bucket], n);
	if ((pg_atomic_read_u64(octaves) & bit) == 0)
		pg_atomic_fetch_or_u64(octaves, bit);
}

/* counts has PM_BUCKETS. */
void
pm_times_read(PmTimes *times, pg_atomic_uint64 *octaves, uint64 *counts)
{
	uint64		left = pg_atomic_read_u64(octaves);

	memset(counts, 0, PM_BUCKETS * sizeof(uint64));
	for (; left != 0; left &= left - 1)
	{
		int			first = pg_rightmost_one_pos64(left) * PM_OCTAVE_BUCKETS;

		for (int i = first; i < first + PM_OCTAVE_BUCKETS; i++)
			counts[i] = pg_atomic_read_u64(&times->counts[i]);
	}
}

void
pm_times_clear(PmTimes *times, pg_atomic_uint64 *octaves)
{
	uint64		left = pg_atomic_exchange_u64(octaves, 0);

	for (; left != 0; left &= left - 1)
	{
		int			first = pg_rightmost_one_pos64(left) * PM_OCTAVE_BUCKETS;

		for (int i = first; i < first + PM_OCTAVE_BUCKETS; i++)
			pg_atomic_write_u64(&times->counts[i], 0);
	}
}
