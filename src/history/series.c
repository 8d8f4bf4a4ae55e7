/*
 * series.c
 *		Whose the series are.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/nameindex.h"
#include "history/rings.h"
#include "pools/declared.h"

void
pm_history_clear(int s)
{
	PmHistory  *history = pm_history_rings;

	for (int r = 0; r < PM_NUM_RINGS; r++)
		memset(history->rings[r].buckets + (Size) s * history->rings[r].length, 0,
			   history->rings[r].length * sizeof(PmBucket));
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

	for (int i = 0; i < pm_first_application_series(); i++)
	{
		if (strcmp(history->series[i].name, name) == 0)
			return i;
		if (place < 0 && !pm_series_used(&history->series[i]))
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
		int			pool = pm_series_used(series) ? pm_name_index_find(pools, series->name) : -1;

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
	while (s < pm_max_pools && (pm_series_used(&history->series[s]) != used || history->series[s].account >= 0))
		s++;
	return s;
}

/* Chooses places for the series of new pools, which are told: first the free ones. */
static void
place_series(PmHistory *history, const PmRules *rules, bool *is_new)
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
		is_new[s] = true;
		history->series[s].account = rules->accounts[i];
		history->series_of_pool[i] = s;
	}
}

/* What a former owner did goes. While that takes its time the place has no name. */
static void
empty_series(PmHistory *history, const bool *is_new)
{
	bool	   *clear = palloc0(pm_max_pools * sizeof(bool));

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	for (int s = 0; s < pm_max_pools; s++)
	{
		clear[s] = is_new[s] && pm_series_used(&history->series[s]);
		if (clear[s])
			memset(history->series[s].name, 0, PM_NAME_LEN);
	}
	LWLockRelease(&history->lock);
	for (int s = 0; s < pm_max_pools; s++)
	{
		if (clear[s])
			pm_history_clear(s);
	}
	pfree(clear);
}

/*
 * The declarations have changed: those that go on keep their series, then new ones take
 * the places of those that do not. Allocates; takes the lock, twice, and only for names:
 * of the rest the worker is the only reader, of all the only writer.
 */
void
pm_history_map(const PmRules *rules)
{
	PmHistory  *history = pm_history_rings;
	bool	   *is_new = palloc0(pm_max_pools * sizeof(bool));
	PmNameIndex pools;

	pm_name_index_init(&pools, rules->npools);
	for (int i = 0; i < rules->npools; i++)
		pm_name_index_add(&pools, rules->pools[i].name, i);
	keep_series(history, rules, &pools);
	place_series(history, rules, is_new);
	empty_series(history, is_new);

	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rules->npools; i++)
	{
		int			s = history->series_of_pool[i];

		if (s >= 0 && is_new[s])
			strlcpy(history->series[s].name, rules->pools[i].name, PM_NAME_LEN);
	}
	LWLockRelease(&history->lock);
	history->generation = rules->generation;
	pfree(is_new);
}
