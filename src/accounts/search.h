/*
 * search.h
 *		The places that may be an owner's. For this folder alone.
 */
#ifndef PM_SEARCH_H
#define PM_SEARCH_H

#include "accounts/index.h"
#include "base/identity.h"

/* The places that may be an owner's, one after another. */
typedef struct PmWalk
{
	const PmOwner *owner;
	uint32		hash;
	int			way;			/* the last one; PM_WAYS: outside */
	int			outside;		/* next place there */
	int			position;		/* of the last one, in the order of all */
} PmWalk;

extern uint32 pm_owner_key(const PmOwner *owner);
extern PmIndexLine *pm_index_line(uint32 hash);
extern int	pm_walk_next(PmWalk *walk);
extern bool pm_walk_matches(const PmWalk *walk, int account);
extern int	pm_walk_position(int account, int way);
extern uint64 pm_place_settled(int account);

#endif							/* PM_SEARCH_H */
