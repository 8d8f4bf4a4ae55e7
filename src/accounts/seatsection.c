/*
 * seatsection.c
 *		The guard's part of shared memory, and whose which seat is.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "miscadmin.h"

PmSeats    *pm_seats = NULL;

StaticAssertDecl(sizeof(PmSeat) == 64, "a seat is a cache line");

/* ---- shared memory ---- */

static Size
head_size(void)
{
	return CACHELINEALIGN(sizeof(PmSeats));
}

static Size
seats_size(void)
{
	return add_size(head_size(), add_size(mul_size(pm_num_seats(), sizeof(PmSeat) + sizeof(pg_atomic_uint64)),
										  mul_size(MaxBackends, sizeof(pg_atomic_uint32))));
}

static void
attach_seats(void *memory)
{
	pm_seats = memory;
}

static void
init_seats(void)
{
	uint64		free_seat = PM_SEAT_WORD(0, 0, PM_SEAT_NONE, PM_GUARD_OFF, false);

	pm_seats->all = (PmSeat *) ((char *) pm_seats + head_size());
	pm_seats->since = (pg_atomic_uint64 *) (pm_seats->all + pm_num_seats());
	pm_seats->entering = (pg_atomic_uint32 *) (pm_seats->since + pm_num_seats());
	for (int i = 0; i < pm_num_seats(); i++)
		pg_atomic_write_u64(&pm_seats->all[i].word, free_seat);
	pg_atomic_write_u64(&pm_seats->shared, (uint64) PM_SHARED_NONE << PM_SHARED_TOTAL_SHIFT);
	pg_atomic_write_u32(&pm_seats->tried_out, PM_SHARED_NONE);
	pg_atomic_write_u32(&pm_seats->changes, 1);
}

const PmSection pm_seats_section = {
	.name = "seats",
	.size = seats_size,
	.attach = attach_seats,
	.init = init_seats,
};

PmSeats *
pm_seats_memory(void)
{
	return pm_seats;
}

/* ---- whose ---- */

/* One for each pool's account, and one for all that is undeclared. */
int
pm_num_seats(void)
{
	return pm_first_application() + 1;
}

int
pm_undeclared_seat(void)
{
	return pm_first_application();
}

/* A pool that has found no account of its own is undeclared here. */
int
pm_seat_of(int account)
{
	return account >= 0 && account < pm_first_application() ? account : pm_undeclared_seat();
}
