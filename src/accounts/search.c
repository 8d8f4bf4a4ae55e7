/*
 * search.c
 *		The places that may be an owner's. See index.h.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/search.h"
#include "storage/s_lock.h"

#define CLAIM_SPINS		1000	/* for a claimed place */

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

uint32
pm_owner_key(const PmOwner *owner)
{
	uint64		hash = pm_owner_hash(owner, pm_accounts->seed);

	return (uint32) (hash ^ (hash >> 32));
}

PmIndexLine *
pm_index_line(uint32 hash)
{
	return &pm_accounts->lines[hash & pm_accounts->line_mask];
}

bool
pm_walk_matches(const PmWalk *walk, int account)
{
	return KEY(account)->hash == walk->hash && pm_owner_equal(&ACCOUNT(account)->owner, walk->owner);
}

/* Among those of one line: who comes first. */
int
pm_walk_position(int account, int way)
{
	return way > 0 ? way : PM_WAYS + 1 + account;
}

/* -1: no more. It may have another owner by the time its state is read. */
int
pm_walk_next(PmWalk *walk)
{
	PmIndexLine *line = pm_index_line(walk->hash);

	while (walk->way < PM_WAYS)
	{
		int			way = ++walk->way;
		int			place = (int) pg_atomic_read_u32(&line->ways[way - 1]) - 1;

		pg_read_barrier();
		walk->position = pm_walk_position(place, way);
		if (place >= 0 && pm_walk_matches(walk, place))
			return place;
	}
	if (pg_atomic_read_u32(&line->outside) == 0)
		return -1;
	pg_read_barrier();
	while (walk->outside < pm_other_account())
	{
		int			place = walk->outside++;

		walk->position = pm_walk_position(place, PM_WAY_OUTSIDE);
		if (KEY(place)->way == PM_WAY_OUTSIDE && pm_walk_matches(walk, place))
			return place;
	}
	return -1;
}

/* Waits a moment for who is entering there. */
uint64
pm_place_settled(int i)
{
	uint64		word = pg_atomic_read_u64(&KEY(i)->place);

	for (int spin = 0; PM_PLACE_STATE(word) == PM_PLACE_CLAIMED && spin < CLAIM_SPINS; spin++)
	{
		SPIN_DELAY();
		word = pg_atomic_read_u64(&KEY(i)->place);
	}
	return word;
}
