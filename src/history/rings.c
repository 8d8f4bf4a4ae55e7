/*
 * rings.c
 *		The rings in shared memory: whose the series are, and their stretches.
 *
 * A series lies in one piece, and is of use from the first tick of its pool on. One that
 * nobody has had yet is zero, and nobody writes there: its memory is not there either.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/guc.h"
#include "base/nameindex.h"
#include "base/shmem.h"
#include "history/rings.h"
#include "pools/declared.h"

#define MINUTE			(INT64CONST(60) * 1000000)
#define HOUR			(60 * MINUTE)
#define CLOCK_TOLERANCE	HOUR

PmHistory  *pm_history_rings = NULL;

static int
num_series(void)
{
	return pm_max_pools + 2;
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

/* ---- series ---- */

static bool
is_used(const PmSeries *series)
{
	return series->name[0] != '\0';
}

static void
clear_buckets(PmHistory *history, int s)
{
	for (int r = 0; r < PM_NUM_RINGS; r++)
		memset(history->rings[r].buckets + (Size) s * history->rings[r].length, 0,
			   history->rings[r].length * sizeof(PmBucket));
}

static void
free_series(PmSeries *series)
{
	memset(series, 0, sizeof(PmSeries));
	series->account = -1;
}

/*
 * The series with this name; a new one if there is none yet and a place is free, else
 * -1. Caller holds the lock exclusively.
 */
int
pm_history_series(const char *name)
{
	PmHistory  *history = pm_history_rings;
	int			place = -1;

	for (int i = 0; i < history->nseries; i++)
	{
		if (strcmp(history->series[i].name, name) == 0)
			return i;
		if (place < 0 && !is_used(&history->series[i]))
			place = i;
	}
	if (place >= 0)
		strlcpy(history->series[place].name, name, PM_NAME_LEN);
	return place;
}

/* Those of pools that are declared go on. */
static void
keep_series(PmHistory *history, const PmRules *rules, const PmNameIndex *pools)
{
	for (int i = 0; i < rules->npools; i++)
		history->series_of_pool[i] = -1;
	for (int s = 0; s < pm_max_pools; s++)
	{
		PmSeries   *series = &history->series[s];
		int			former = series->account;
		int			pool = is_used(series) ? pm_name_index_find(pools, series->name) : -1;

		series->account = pool >= 0 ? rules->accounts[pool] : -1;
		series->primed = series->primed && series->account == former;
		if (pool >= 0)
			history->series_of_pool[pool] = s;
	}
}

/* From there on, the next place that is free, or used by a pool that is not declared. */
static int
next_place(const PmHistory *history, int s, bool used)
{
	while (s < pm_max_pools && (is_used(&history->series[s]) != used || history->series[s].account >= 0))
		s++;
	return s;
}

/*
 * Chooses places for the series of new pools: first the free ones. A former owner's
 * buckets are still there; but from now on the place has no name, so nobody reads them.
 */
static void
place_series(PmHistory *history, const PmRules *rules, bool *clear)
{
	bool		used = false;
	int			s = -1;

	for (int i = 0; i < rules->npools; i++)
	{
		if (history->series_of_pool[i] >= 0)
			continue;
		s = next_place(history, s + 1, used);
		if (s >= pm_max_pools && !used)
		{
			used = true;
			s = next_place(history, 0, used);
		}
		if (s >= pm_max_pools)
			return;
		clear[s] = used;
		free_series(&history->series[s]);
		history->series[s].account = rules->accounts[i];
		history->series_of_pool[i] = s;
	}
}

/*
 * The declarations have changed: those that go on keep their series, then new ones take
 * the places of those that do not. Takes the lock, twice, because clearing what is long
 * needs none: the worker is the only writer.
 */
void
pm_history_map(const PmRules *rules)
{
	PmHistory  *history = pm_history_rings;
	bool	   *clear = palloc0(pm_max_pools * sizeof(bool));
	PmNameIndex pools;

	pm_name_index_init(&pools, rules->npools);
	for (int i = 0; i < rules->npools; i++)
		pm_name_index_add(&pools, rules->pools[i].name, i);

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	keep_series(history, rules, &pools);
	place_series(history, rules, clear);
	LWLockRelease(&history->lock);

	for (int s = 0; s < pm_max_pools; s++)
	{
		if (clear[s])
			clear_buckets(history, s);
	}

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rules->npools; i++)
	{
		if (history->series_of_pool[i] >= 0)
			strlcpy(history->series[history->series_of_pool[i]].name, rules->pools[i].name, PM_NAME_LEN);
	}
	history->generation = rules->generation;
	LWLockRelease(&history->lock);
}

/* ---- stretches ---- */

static void
advance(PmRing *ring, TimestampTz start)
{
	ring->head = ring->count == 0 ? 0 : (ring->head + 1) % ring->length;
	ring->count = Min(ring->count + 1, ring->length);
	ring->starts[ring->head] = start;
	for (int s = 0; s < pm_history_rings->nseries; s++)
	{
		if (is_used(&pm_history_rings->series[s]))
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
	TimestampTz start = now - now % ring->resolution;
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
	if (ring->count == 0 || ring->starts[ring->head] < start)
		advance(ring, start);
	return dropped;
}
