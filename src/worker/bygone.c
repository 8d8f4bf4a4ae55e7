/*
 * bygone.c
 *		Ends of what pools were in whose declarations are no longer in force.
 *
 * Each begin that was told has an end that is told, but a pool's episodes go with its
 * declaration (publish.c). So those of each tick are kept here, by the pool's name, and
 * what a tick does not find any more has ended. A name that was gone between two ticks and
 * is there again is another pool: its episodes, if it has any, began at other times.
 *
 * All of it is the worker's own: of a pool that goes while there is none, no end is told.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/nameindex.h"
#include "utils/memutils.h"
#include "worker/bygone.h"

/* A pool with an episode at least, as the last tick left it. */
typedef struct Kept
{
	char		name[PM_NAME_LEN];
	PmEpisode	episodes[PM_NUM_CONDITIONS];
	int			pool;			/* its index; -1: it is gone */
} Kept;

static Kept *kept = NULL;		/* max_pools */
static int	nkept = 0;
static uint64 generation = 0;	/* of the declarations that pool is an index
								 * of */

/*
 * Finds those that were kept in the declarations of this tick; returns how many were kept.
 * Before the lock is taken. Allocates in the current memory context.
 */
int
pm_bygone_find(const PmRules *rules)
{
	PmNameIndex names;

	if (kept == NULL)
		kept = MemoryContextAlloc(TopMemoryContext, pm_max_pools * sizeof(Kept));
	if (rules->generation == generation)
		return nkept;
	generation = rules->generation;
	pm_name_index_init(&names, rules->npools);
	for (int i = 0; i < rules->npools; i++)
		pm_name_index_add(&names, rules->pools[i].name, i);
	for (int i = 0; i < nkept; i++)
		kept[i].pool = pm_name_index_find(&names, kept[i].name);
	return nkept;
}

static bool
goes_on(const Kept *pool, PmCondition condition)
{
	return pool->pool >= 0 &&
		pm_declarations->states[pool->pool].episodes[condition].since == pool->episodes[condition].since;
}

/*
 * Puts the ends of what is gone into changes[], PM_NUM_CONDITIONS at most of each that was
 * found, and returns their number. Then nothing is kept.
 */
int
pm_bygone_take(PmChange *changes)
{
	int			n = 0;

	for (int i = 0; i < nkept; i++)
	{
		for (int condition = 0; condition < PM_NUM_CONDITIONS; condition++)
		{
			if (kept[i].episodes[condition].since == 0 || goes_on(&kept[i], condition))
				continue;
			memset(&changes[n], 0, sizeof(PmChange));
			changes[n].condition = condition;
			changes[n].episode = kept[i].episodes[condition];
			strlcpy(changes[n++].bygone, kept[i].name, PM_NAME_LEN);
		}
	}
	nkept = 0;
	return n;
}

/* Keeps what that pool is in after this tick. */
void
pm_bygone_keep(const PmRules *rules, int pool)
{
	const PmPoolState *state = &pm_declarations->states[pool];

	for (int i = 0; i < PM_NUM_CONDITIONS; i++)
	{
		if (state->episodes[i].since == 0)
			continue;
		strlcpy(kept[nkept].name, rules->pools[pool].name, PM_NAME_LEN);
		kept[nkept].pool = pool;
		memcpy(kept[nkept++].episodes, state->episodes, sizeof(state->episodes));
		break;
	}
}
