/*
 * index.h
 *		Which places may be an owner's, by the hash of its names, and which places are
 *		free: nobody has to look through all of them. Pure: atomics only.
 *
 * An index is lines of a few ways each, one line a cache line; the hash says which
 * line an owner's place is in. Whoever enters a place writes its number into a way that
 * is free, after its hash and its owner; who frees it clears the way. Where all ways are
 * taken, the place is "outside", and the line says how many of its places are: who finds
 * such a line looks through all places. With a line for every four places that happens
 * to one in a hundred thousand; nobody can choose names for it, because the hash begins
 * with a number that only this server knows.
 *
 * A way says only where to look: what is there has to be compared.
 *
 * Free places are a stack. A number that each change moves on goes with its top, so that
 * who was stopped for less than 2^32 changes cannot take it for the same one.
 */
#ifndef PM_INDEX_H
#define PM_INDEX_H

#include "port/atomics.h"

#ifndef PM_WAYS
#define PM_WAYS		15
#endif

/* Where a place is entered: a way, from 1 on, or one of these. */
#define PM_WAY_NONE		0
#define PM_WAY_OUTSIDE	(-1)

typedef struct PmIndexLine
{
	pg_atomic_uint32 ways[PM_WAYS]; /* a place, and 1; 0: free */
	pg_atomic_uint32 outside;	/* places */
} PmIndexLine;

typedef struct PmFreePlaces
{
	pg_atomic_uint64 top;		/* changes 32 bits, a place and 1 32 bits */
	pg_atomic_uint32 n;			/* a moment behind */
} PmFreePlaces;

extern int	pm_index_lines(int places);

extern int	pm_index_enter(PmIndexLine *line, int place);
extern void pm_index_leave(PmIndexLine *line, int place, int way);

/* next: of all places, their successors in the stack and 1. -1: none is free. */
extern void pm_free_push(PmFreePlaces *list, pg_atomic_uint32 *next, int place);
extern int	pm_free_pop(PmFreePlaces *list, pg_atomic_uint32 *next);

#endif							/* PM_INDEX_H */
