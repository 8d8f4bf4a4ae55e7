/*
 * seatterms.c
 *		What the guard goes by, put in force; and mending the count.
 *
 * The worker's. Each pool's terms change in one move, with the seats that are taken left as
 * they are. What that changes of the shared part is added before the move where it is more,
 * and taken off after it where it is less, so that nobody finds a seat that is not there.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "utils/timestamp.h"

/* The declarations are about to change: until they are settled nobody is refused. */
void
pm_seats_change(void)
{
	pg_atomic_fetch_add_u32(&pm_seats->changes, 1);
}

static void
add_shared(int n)
{
	if (n < 0)
		pm_shared_take_off(-n);
	else
		pg_atomic_fetch_add_u64(&pm_seats->shared, n);
}

/* Puts another word in the place of one, whose held it has been made of. */
static bool
exchange(PmSeat *seat, uint64 *word, uint64 new)
{
	int			more = pm_seat_shared_part(new) - pm_seat_shared_part(*word);
	bool		done;

	if (more > 0)
		add_shared(more);
	done = pg_atomic_compare_exchange_u64(&seat->word, word, new);
	if (done ? more < 0 : more > 0)
		add_shared(done ? more : -more);
	return done;
}

static uint64
word_of(const PmSeatTerms *terms, int held)
{
	return PM_SEAT_WORD(held, terms->reserved, terms->limit < 0 ? PM_SEAT_NONE : terms->limit,
						terms->mode, terms->superusers);
}

void
pm_seat_set_terms(int which, const PmSeatTerms *terms)
{
	PmSeat	   *seat = &pm_seats->all[which];
	uint64		word = pg_atomic_read_u64(&seat->word);
	uint64		pace = (uint64) terms->rate | ((uint64) terms->burst << 20) | ((uint64) terms->base << 40);
	bool		other_reserve = pg_atomic_exchange_u32(&seat->tried_out, terms->tried_out) != (uint32) terms->tried_out;
	bool		other_pace = pg_atomic_exchange_u64(&seat->pace, pace) != pace;

	/* a worker that begins sets them all, most to what they are */
	if (other_pace || other_reserve || word != word_of(terms, PM_SEAT_HELD(word)))
		pg_atomic_write_u64(&pm_seats->since[which], GetCurrentTimestamp());
	if (other_pace)
		pg_atomic_write_u64(&seat->due, 0); /* what was taken at another rate
											 * is forgiven */
	pm_shared_decide(true);
	while (!exchange(seat, &word, word_of(terms, PM_SEAT_HELD(word))))
		;
	pm_shared_decide(false);
	/* what is there now is in it, whoever comes in between, too */
	pg_atomic_write_u32(&seat->peak, 0);
	pm_seat_note_peak(seat, PM_SEAT_HELD(pg_atomic_read_u64(&seat->word)));
}

/* Its account is to be another pool's: what was told of the former one is not his. */
void
pm_seat_forget(int which)
{
	PmSeat	   *seat = &pm_seats->all[which];

	Assert(which < pm_undeclared_seat());
	pg_atomic_write_u64(&seat->guarded_at, 0);
	pg_atomic_write_u64(&seat->wanted_at, 0);
	pg_atomic_write_u64(&seat->told_at, 0);
	pg_atomic_write_u32(&seat->untold, 0);
	/* its terms may be the same, so it is not done with them */
	pg_atomic_write_u32(&seat->peak, 0);
	pm_seat_note_peak(seat, PM_SEAT_HELD(pg_atomic_read_u64(&seat->word)));
}

/* total: of the shared part, -1: no reserve is in force; tried_out: if all were, -1: no more are declared. */
void
pm_seats_set_shared(int total, int tried_out)
{
	uint64		word = pg_atomic_read_u64(&pm_seats->shared);
	uint64		part = (UINT64CONST(1) << PM_SHARED_TOTAL_SHIFT) - 1;
	uint64		limit = (uint64) (total < 0 ? PM_SHARED_NONE : total) << PM_SHARED_TOTAL_SHIFT;

	uint32		trial = tried_out < 0 ? PM_SHARED_NONE : tried_out;

	while (!pg_atomic_compare_exchange_u64(&pm_seats->shared, &word, (word & part) | limit))
		;
	if ((word & ~part) != limit)
		pg_atomic_write_u64(&pm_seats->shared_since, GetCurrentTimestamp());
	if (pg_atomic_exchange_u32(&pm_seats->tried_out, trial) != trial)
		pg_atomic_write_u64(&pm_seats->trial_since, GetCurrentTimestamp());
}

/* So many seats are held by nobody. */
void
pm_seat_correct(int which, int surplus)
{
	PmSeat	   *seat = &pm_seats->all[which];
	uint64		word = pg_atomic_read_u64(&seat->word);

	while (!exchange(seat, &word, word - Min(surplus, PM_SEAT_HELD(word))))
		;
}

/* Likewise of the shared part; below 0: so many are not counted there. */
void
pm_shared_correct(int surplus)
{
	add_shared(-surplus);
}
