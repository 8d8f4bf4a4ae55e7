/*
 * rings.c
 *		The rings in shared memory, and their stretches.
 *
 * A series lies in one piece, and is of use from the first tick of its pool on. One that
 * nobody has had yet is zero, and nobody writes there: its memory is not there either.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "history/rings.h"

#define MINUTE			(INT64CONST(60) * 1000000)
#define HOUR			(60 * MINUTE)
#define CLOCK_TOLERANCE	HOUR

PmHistory  *pm_history_rings = NULL;

static int
num_series(void)
{
	return pm_max_pools + 2 + PM_APPLICATION_SERIES;
}

static Size
ring_size(int length)
{
	return add_size(MAXALIGN(mul_size(length, sizeof(TimestampTz))),
					MAXALIGN(mul_size(mul_size(length, num_series()), sizeof(PmBucket))));
}

static Size
history_size(void)
{
	Size		size = MAXALIGN(sizeof(PmHistory));

	size = add_size(size, MAXALIGN(mul_size(num_series(), sizeof(PmSeries))));
	size = add_size(size, MAXALIGN(mul_size(pm_max_pools, sizeof(int))));
	size = add_size(size, ring_size(pm_history_minutes));
	return add_size(size, ring_size(pm_history_hours));
}

static char *
init_ring(PmRing *ring, int length, int64 resolution, char *at)
{
	ring->length = length;
	ring->resolution = resolution;
	ring->starts = (TimestampTz *) at;
	at += MAXALIGN(length * sizeof(TimestampTz));
	ring->buckets = (PmBucket *) at;
	return at + MAXALIGN((Size) length * num_series() * sizeof(PmBucket));
}

static void
attach_history(void *memory)
{
	pm_history_rings = memory;
}

static void
init_history(void)
{
	PmHistory  *history = pm_history_rings;
	char	   *at = (char *) history + MAXALIGN(sizeof(PmHistory));

	LWLockInitialize(&history->lock, pm_tranche());
	history->nseries = num_series();
	history->series = (PmSeries *) at;
	at += MAXALIGN(history->nseries * sizeof(PmSeries));
	history->series_of_pool = (int *) at;
	at += MAXALIGN(pm_max_pools * sizeof(int));
	at = init_ring(&history->rings[0], pm_history_minutes, MINUTE, at);
	init_ring(&history->rings[1], pm_history_hours, HOUR, at);

	for (int i = 0; i < history->nseries; i++)
		history->series[i].account = -1;
	strlcpy(history->series[pm_max_pools].name, "(undeclared)", PM_NAME_LEN);
	history->series[pm_max_pools].account = pm_undeclared_account();
	strlcpy(history->series[pm_max_pools + 1].name, "(server)", PM_NAME_LEN);
	history->series[pm_max_pools + 1].account = pm_server_account();
}

static Size
explain_history(StringInfo text)
{
	Size		series = mul_size(num_series(), sizeof(PmBucket));
	Size		minutes = mul_size(series, pm_history_minutes);
	Size		hours = mul_size(series, pm_history_hours);

	appendStringInfo(text,
					 "History by the minute (\"pool_monitor.max_pools\" %d, \"pool_monitor.history_minutes\" %d): %zu MB. "
					 "History by the hour (\"pool_monitor.max_pools\", \"pool_monitor.history_hours\" %d): %zu MB. ",
					 pm_max_pools, pm_history_minutes, minutes >> 20, pm_history_hours, hours >> 20);
	return minutes + hours;
}

const PmSection pm_history_section = {
	.name = "history",
	.size = history_size,
	.attach = attach_history,
	.init = init_history,
	.explain = explain_history,
};

PmHistory *
pm_history_memory(void)
{
	return pm_history_rings;
}

/* ---- stretches ---- */

static bool
begins_stretch(const PmRing *ring, TimestampTz now)
{
	return ring->count == 0 || ring->starts[ring->head] < now - now % ring->resolution;
}

static int
next_head(const PmRing *ring)
{
	return ring->count == 0 ? 0 : (ring->head + 1) % ring->length;
}

/*
 * Looks at what a tick is about to write, without the lock, so that it need not be fetched
 * or, where nobody has been yet, made under it.
 */
void
pm_history_approach(const PmRing *ring, TimestampTz now)
{
	int			head = begins_stretch(ring, now) ? next_head(ring) : ring->head;

	for (int s = 0; s < pm_history_rings->nseries; s++)
	{
		if (pm_series_used(&pm_history_rings->series[s]))
			(void) *(volatile uint32 *) &ring->buckets[(Size) s * ring->length + head].seen;
	}
}

static void
advance(PmRing *ring, TimestampTz start)
{
	ring->head = next_head(ring);
	ring->count = Min(ring->count + 1, ring->length);
	ring->starts[ring->head] = start;
	for (int s = 0; s < pm_history_rings->nseries; s++)
	{
		if (pm_series_used(&pm_history_rings->series[s]))
			memset(&ring->buckets[(Size) s * ring->length + ring->head], 0, sizeof(PmBucket));
	}
}

/*
 * Makes the stretch that "now" belongs to the head; returns how many were dropped. Caller
 * holds the lock exclusively.
 */
int
pm_history_open(PmRing *ring, TimestampTz now)
{
	int			dropped = 0;

	if (ring->count > 0 && ring->starts[ring->head] - now > CLOCK_TOLERANCE)
	{
		while (ring->count > 0 && ring->starts[ring->head] > now)
		{
			ring->head = (ring->head + ring->length - 1) % ring->length;
			ring->count--;
			dropped++;
		}
	}
	if (begins_stretch(ring, now))
		advance(ring, now - now % ring->resolution);
	return dropped;
}
