/*
 * read.c
 *		Reading the rings: copies of what is asked for.
 *
 * The lock is held for one series at most, and for the stretches of it that are
 * copied: the worker waits for no more than that. What is done with them is done
 * with the copy.
 */
#include "postgres.h"

#include "history/read.h"
#include "utils/timestamp.h"

/* How many stretches begin before the moment; they are in order. */
static int
begun_before(const PmRing *ring, TimestampTz moment)
{
	int			low = 0;
	int			high = ring->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (ring->starts[pm_ring_nth(ring, middle)] < moment)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* n stretches from this place on, which do not go over the ring's end. */
static void
copy_piece(PmRingCopy *to, const PmRing *ring, int series, int place, int n)
{
	memcpy(to->starts + to->count, ring->starts + place, n * sizeof(TimestampTz));
	memcpy(to->buckets + to->count, ring->buckets + (Size) series * ring->length + place, n * sizeof(PmBucket));
	to->count += n;
}

/* Caller holds the lock. */
static void
copy_stretches(PmRingCopy *to, const PmRing *ring, int series, PmSpan span)
{
	int			first = begun_before(ring, span.since);
	int			rest = begun_before(ring, span.until) - first;

	to->count = 0;
	to->oldest = ring->count > 0 ? ring->starts[pm_ring_nth(ring, 0)] : DT_NOEND;
	if (rest > 0)
	{
		int			place = pm_ring_nth(ring, first);
		int			piece = Min(rest, ring->length - place);

		copy_piece(to, ring, series, place, piece);
		copy_piece(to, ring, series, 0, rest - piece);
	}
}

/* Room for any part of the rings that are asked for. */
static void
make_room(PmPast *past, int64 resolution)
{
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		const PmRing *ring = &pm_history_rings->rings[r];

		if (resolution != 0 && resolution != ring->resolution)
			continue;
		past->rings[r].starts = palloc(ring->length * sizeof(TimestampTz));
		past->rings[r].buckets = palloc(ring->length * sizeof(PmBucket));
	}
}

/* -1: there is none of this name. A name moves when its place is needed and it comes back. */
static int
find_series(const char *name)
{
	const PmHistory *history = pm_history_rings;
	int			found = -1;

	LWLockAcquire(&pm_history_rings->lock, LW_SHARED);
	for (int s = 0; s < pm_first_application_series() && found < 0; s++)
	{
		if (strcmp(history->series[s].name, name) == 0)
			found = s;
	}
	LWLockRelease(&pm_history_rings->lock);
	return found;
}

/* The series of this name, NULL: all; the ring with this resolution in us, 0: all. */
void
pm_past_begin(PmPast *past, const char *name, int64 resolution, PmSpan span)
{
	memset(past, 0, sizeof(PmPast));
	past->only = name;
	past->span = span;
	past->end = pm_first_application_series();
	if (name != NULL)
	{
		past->next = find_series(name);
		past->end = past->next + 1;
	}
	make_room(past, resolution);
}

void
pm_past_begin_all(PmPast *past, PmSpan span)
{
	pm_past_begin(past, NULL, 0, span);
	past->end = pm_history_rings->nseries;
}

static bool
is_wanted(const PmPast *past, const char *name)
{
	/* a free place has no name, which may be asked for all the same */
	return name[0] != '\0' && (past->only == NULL || strcmp(name, past->only) == 0);
}

/* Copies what is asked for of the next series; false when there is none. */
bool
pm_past_next(PmPast *past)
{
	const PmHistory *history = pm_history_rings;
	bool		found = false;

	while (past->next >= 0 && past->next < past->end && !found)
	{
		int			s = past->next++;

		LWLockAcquire(&pm_history_rings->lock, LW_SHARED);
		found = is_wanted(past, history->series[s].name);
		if (found)
		{
			strlcpy(past->name, history->series[s].name, PM_NAME_LEN);
			past->of_application = s >= pm_first_application_series();
			past->application = history->series[s].application;
		}
		for (int r = 0; r < PM_NUM_RINGS && found; r++)
		{
			if (past->rings[r].starts != NULL)
				copy_stretches(&past->rings[r], &history->rings[r], s, past->span);
		}
		LWLockRelease(&pm_history_rings->lock);
	}
	return found;
}
