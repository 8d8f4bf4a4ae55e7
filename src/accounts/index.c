/*
 * index.c
 *		Which places may be an owner's, and which are free. See index.h.
 */
#include "postgres.h"

#include "accounts/index.h"
#include "port/pg_bitutils.h"

#define PLACES_A_LINE		4	/* see index.h */

#define TOP(changes, next)	(((uint64) (changes) << 32) | (uint32) (next))

/* A power of two, for so many places. */
int
pm_index_lines(int places)
{
	return (int) pg_nextpower2_32(Max(places / PLACES_A_LINE, 1));
}

/* Returns the way. Whoever finds it there finds what was written before. */
int
pm_index_enter(PmIndexLine *line, int place)
{
	for (int way = 1; way <= PM_WAYS; way++)
	{
		uint32		none = 0;

		if (pg_atomic_compare_exchange_u32(&line->ways[way - 1], &none, (uint32) place + 1))
			return way;
	}
	pg_atomic_fetch_add_u32(&line->outside, 1);
	return PM_WAY_OUTSIDE;
}

void
pm_index_leave(PmIndexLine *line, int place, int way)
{
	uint32		mine = (uint32) place + 1;

	if (way > 0)
		(void) pg_atomic_compare_exchange_u32(&line->ways[way - 1], &mine, 0);
	else if (way == PM_WAY_OUTSIDE)
		pg_atomic_fetch_sub_u32(&line->outside, 1);
}

void
pm_free_push(PmFreePlaces *list, pg_atomic_uint32 *next, int place)
{
	uint64		top = pg_atomic_read_u64(&list->top);

	do
		pg_atomic_write_u32(&next[place], (uint32) top);
	while (!pg_atomic_compare_exchange_u64(&list->top, &top, TOP((top >> 32) + 1, place + 1)));
	pg_atomic_fetch_add_u32(&list->n, 1);
}

/* What is read of a place that is no longer on top is not used: the top has changed. */
int
pm_free_pop(PmFreePlaces *list, pg_atomic_uint32 *next)
{
	uint64		top = pg_atomic_read_u64(&list->top);
	uint32		place;

	do
	{
		if ((place = (uint32) top) == 0)
			return -1;
		pg_read_barrier();
	} while (!pg_atomic_compare_exchange_u64(&list->top, &top,
											 TOP((top >> 32) + 1, pg_atomic_read_u32(&next[place - 1]))));
	pg_atomic_fetch_sub_u32(&list->n, 1);
	return (int) place - 1;
}
