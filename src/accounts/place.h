/*
 * place.h
 *		The word that says whose a place among the accounts is. Pure: atomics only,
 *		so that test/clients/places.c can race it.
 *
 * A place gets another owner while processes that have found it are on their way
 * to count there, and the system may stop any of them for any time. So nothing here
 * depends on time. One word holds the place's state, its incarnation, which moves
 * on with each owner, and how many are counting there; and every move is a
 * compare-and-exchange of the whole word. Who was stopped too long finds another
 * incarnation, and its move fails without a trace.
 *
 *			 [who counts first]		   [worker, nobody holds it]
 *		FREE --------> CLAIMED --> READY --------> LEAVING --> FREE
 *						  |		   |   ^			  ^
 *				  [worker]|		   |   | [who counts  |[worker]
 *						  v		   v   |  under it]   |
 *						 LOST	  CLOSING ------------+
 *						  |		   [nobody holds it: reset(), a dropped pool]
 *						  v
 *						FREE [who had claimed it]
 *
 * READY: it has a name. Who counts there holds the place meanwhile, a session
 * from begin to end; a place that is held does not leave READY. Who holds one must
 * not die of a signal: then it would be held for good.
 * CLAIMED: who has found it free writes the name. It does not belong to anybody
 * else until that is done; when it takes too long the place is LOST, which means
 * that nobody waits for the name, and it is given back unused in the end.
 * LEAVING: the worker's alone.
 */
#ifndef PM_PLACE_H
#define PM_PLACE_H

#include "port/atomics.h"

typedef enum PmPlaceState
{
	PM_PLACE_FREE,				/* 0, as the memory is at first */
	PM_PLACE_CLAIMED,
	PM_PLACE_READY,
	PM_PLACE_CLOSING,
	PM_PLACE_LEAVING,
	PM_PLACE_LOST
} PmPlaceState;

/* incarnation 32 bits, state 8, holders 24: far more than MaxBackends */
#define PM_PLACE_WORD(incarnation, state, holders) \
	(((uint64) (incarnation) << 32) | ((uint64) (state) << 24) | (uint64) (holders))
#define PM_PLACE_INCARNATION(word)	((uint32) ((word) >> 32))
#define PM_PLACE_STATE(word)		((PmPlaceState) (((word) >> 24) & 0xFF))
#define PM_PLACE_HOLDERS(word)		((uint32) ((word) & 0xFFFFFF))

/* What the finder of an account keeps of it: another owner's is another one. */
typedef struct PmPlace
{
	int			account;
	uint32		incarnation;
} PmPlace;

/* From one state to another, of this incarnation, if nobody holds it. */
static inline bool
pm_place_move(pg_atomic_uint64 *place, uint32 incarnation, PmPlaceState from, PmPlaceState to)
{
	uint64		expected = PM_PLACE_WORD(incarnation, from, 0);

	return pg_atomic_compare_exchange_u64(place, &expected, PM_PLACE_WORD(incarnation, to, 0));
}

/* Takes a free place for a new owner, whose incarnation it gives back. */
static inline bool
pm_place_claim(pg_atomic_uint64 *place, uint32 *incarnation)
{
	uint64		word = pg_atomic_read_u64(place);

	if (PM_PLACE_STATE(word) != PM_PLACE_FREE)
		return false;
	*incarnation = PM_PLACE_INCARNATION(word) + 1;
	return pg_atomic_compare_exchange_u64(place, &word, PM_PLACE_WORD(*incarnation, PM_PLACE_CLAIMED, 0));
}

/* From now on it stays this owner's until it is let go; false when it is not. */
static inline bool
pm_place_hold(pg_atomic_uint64 *place, uint32 incarnation)
{
	uint64		word = pg_atomic_read_u64(place);

	while (PM_PLACE_STATE(word) == PM_PLACE_READY && PM_PLACE_INCARNATION(word) == incarnation)
	{
		if (pg_atomic_compare_exchange_u64(place, &word, word + 1))
			return true;
	}
	return false;
}

static inline void
pm_place_let_go(pg_atomic_uint64 *place)
{
	pg_atomic_fetch_sub_u64(place, 1);
}

#endif							/* PM_PLACE_H */
