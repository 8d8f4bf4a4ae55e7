/*
 * seats.c
 *		Taking a seat, and giving it back.
 *
 * Runs in the login of every client: see seats.h for what must hold.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "miscadmin.h"

/*
 * Looks of an attempt at a shared part that is full, while somebody decides: far more than he
 * needs, if he runs. If he does not, so many naps, of us.
 */
#define MOST_LOOKS		1000
#define MOST_NAPS		500
#define NAP				1000

/* The worker is gone, or late, when it has not looked for so many intervals, and ms. */
#define LATE_INTERVALS	3
#define LATE_LEAST		10000

/* ---- the shared part ---- */

/* Not below none, should the count be wrong: the worker's check sees to that (guardcheck.c). */
void
pm_shared_take_off(int n)
{
	uint64		word = pg_atomic_read_u64(&pm_seats->shared);

	while (PM_SHARED_USED(word) > 0 &&
		   !pg_atomic_compare_exchange_u64(&pm_seats->shared, &word, word - Min(n, PM_SHARED_USED(word))))
		;
}

/* Who finds the shared part full meanwhile looks again. */
void
pm_shared_decide(bool begin)
{
	pg_atomic_fetch_add_u64(&pm_seats->shared, begin ? PM_ONE_DECIDES : -PM_ONE_DECIDES);
}

/* What of a pool's seats is of the shared part. */
int
pm_seat_shared_part(uint64 word)
{
	return Max(PM_SEAT_HELD(word) - PM_SEAT_RESERVED(word), 0);
}

/* ---- the rate ---- */

/*
 * A bucket of tokens as one moment, when it will be full again, which each token puts off
 * by the time in which one comes (the generic cell rate algorithm): false when it would be
 * further away than burst tokens take.
 */
static bool
take_token(PmSeat *seat, uint64 pace)
{
	int64		rate = pace & 0xFFFFF;
	int64		burst = (pace >> 20) & 0xFFFFF;
	int64		interval = 1000000 / rate;
	int64		now = pm_monotonic_us();
	uint64		due = pg_atomic_read_u64(&seat->due);
	int64		next;

	do
	{
		next = Max((int64) due, now) + interval;
		if (next - now > burst * interval)
			return false;
	} while (!pg_atomic_compare_exchange_u64(&seat->due, &due, (uint64) next));
	return true;
}

/* Who took one has no use for it. */
static void
put_token_back(PmSeat *seat, uint64 pace)
{
	pg_atomic_fetch_sub_u64(&seat->due, 1000000 / (pace & 0xFFFFF));
}

static bool
needs_token(uint64 pace, uint64 word)
{
	return (pace & 0xFFFFF) != 0 && PM_SEAT_HELD(word) >= (int) ((pace >> 40) & 0xFFFFF);
}

/* ---- seats ---- */

void
pm_seat_note_peak(PmSeat *seat, uint32 held)
{
	uint32		peak = pg_atomic_read_u32(&seat->peak);

	while (held > peak && !pg_atomic_compare_exchange_u32(&seat->peak, &peak, held))
		;
}

/* Of the token that the login of this process has taken with its seat; 0: none. */
static uint64 my_pace = 0;

/* What a login has in hand until it has a seat. */
typedef struct Attempt
{
	PmSeat	   *seat;
	PmSeatSeen *seen;			/* last of all */
	bool		above_terms;	/* only the others' reserves count */
	bool		has_token;
	bool		has_shared;
	int			looks;			/* at the shared part, when it was full */
	bool		is_stale;		/* seen->word is the pool's no more */
} Attempt;

/* For a moment: who is deciding needs no longer, if he runs. */
static void
wait_for_others(const Attempt *attempt)
{
	if (attempt->looks <= MOST_LOOKS)
		pg_spin_delay();
	else
		pg_usleep(NAP);
}

/*
 * Takes one of the shared part for a seat of seen->word. There is none only if all is taken,
 * nobody decides, and that is still the pool's word: else who was in the pool's reserve may
 * have moved, and have left his seat there. That it is all so at once two looks at both say,
 * one after the other (but for who comes and goes in between, of both, and leaves no trace).
 */
static bool
take_shared(Attempt *attempt)
{
	for (;;)
	{
		uint64		word;

		pg_read_barrier();
		word = pg_atomic_read_u64(&pm_seats->shared);
		while (PM_SHARED_TOTAL(word) == PM_SHARED_NONE || PM_SHARED_USED(word) < PM_SHARED_TOTAL(word))
		{
			if (pg_atomic_compare_exchange_u64(&pm_seats->shared, &word, word + 1 + PM_ONE_DECIDES))
				return true;
		}
		attempt->seen->shared = word;
		if (++attempt->looks > MOST_LOOKS + MOST_NAPS)
			return false;
		pg_read_barrier();
		attempt->is_stale = pg_atomic_read_u64(&attempt->seat->word) != attempt->seen->word;
		pg_read_barrier();
		if (!attempt->is_stale && PM_SHARED_DECIDING(word) == 0 && pg_atomic_read_u64(&pm_seats->shared) == word)
			return false;
		wait_for_others(attempt);
		if (attempt->is_stale)
			return false;
	}
}

/* Sees to it that it has what a seat of this word needs; PM_SEAT_FITS: it has. */
static PmSeatVerdict
prepare(Attempt *attempt, uint64 word)
{
	bool		is_guarded = PM_SEAT_MODE(word) != PM_GUARD_OFF && !attempt->above_terms;

	if (is_guarded && PM_SEAT_HELD(word) >= PM_SEAT_LIMIT(word))
		return PM_SEAT_POOL_FULL;
	if (is_guarded && !attempt->has_token && needs_token(attempt->seen->pace, word))
	{
		attempt->has_token = take_token(attempt->seat, attempt->seen->pace);
		if (!attempt->has_token)
			return PM_SEAT_TOO_FAST;
	}
	if (!attempt->has_shared && PM_SEAT_HELD(word) >= PM_SEAT_RESERVED(word))
	{
		attempt->has_shared = take_shared(attempt);
		if (!attempt->has_shared)
			return PM_SEAT_SHARED_FULL;
	}
	return PM_SEAT_FITS;
}

/* It has got a seat of this word, or none: what it did not need goes back. */
static void
conclude(const Attempt *attempt, uint64 word, bool taken)
{
	bool		needs_shared = taken && PM_SEAT_HELD(word) >= PM_SEAT_RESERVED(word);

	if (attempt->has_shared && !needs_shared)
		pm_shared_take_off(1);
	if (attempt->has_shared)
		pm_shared_decide(false);
	if (attempt->has_token && !(taken && needs_token(attempt->seen->pace, word)))
		put_token_back(attempt->seat, attempt->seen->pace);
}

/* What it was decided by is left in what was seen. */
static PmSeatVerdict
try_to_enter(Attempt *attempt)
{
	PmSeatSeen *seen = attempt->seen;
	PmSeatVerdict verdict;

	seen->pace = attempt->above_terms ? 0 : pg_atomic_read_u64(&attempt->seat->pace);
	seen->word = pg_atomic_read_u64(&attempt->seat->word);
	for (;;)
	{
		attempt->is_stale = false;
		verdict = prepare(attempt, seen->word);
		if (attempt->is_stale)
			seen->word = pg_atomic_read_u64(&attempt->seat->word);
		else if (verdict != PM_SEAT_FITS ||
				 pg_atomic_compare_exchange_u64(&attempt->seat->word, &seen->word, seen->word + 1))
			break;
	}
	conclude(attempt, seen->word, verdict == PM_SEAT_FITS);
	if (verdict == PM_SEAT_FITS && attempt->has_token && needs_token(seen->pace, seen->word))
		my_pace = seen->pace;
	if (verdict == PM_SEAT_FITS)
		pm_seat_note_peak(attempt->seat, PM_SEAT_HELD(seen->word) + 1);
	return verdict;
}

/*
 * Takes a seat if there is one by the pool's terms. PM_SEAT_SHARED_FULL is the others'
 * reserves, in force whatever the mode.
 */
PmSeatVerdict
pm_seat_enter(int which, PmSeatSeen *seen)
{
	Attempt		attempt = {.seat = &pm_seats->all[which],.seen = seen};

	return try_to_enter(&attempt);
}

/* Likewise, whatever the pool's own terms are: false when all is taken that others have not reserved. */
bool
pm_seat_enter_above(int which, PmSeatSeen *seen)
{
	Attempt		attempt = {.seat = &pm_seats->all[which],.seen = seen,.above_terms = true};

	return try_to_enter(&attempt) == PM_SEAT_FITS;
}

/*
 * Takes the seat. has_shared: one of the shared part is in the caller's hands, for which there
 * may be no use. One that is needed is taken before the seat, so that nobody sees too little
 * in use; the caller is deciding.
 */
static void
sit_down(PmSeat *seat, bool has_shared)
{
	uint64		word = pg_atomic_read_u64(&seat->word);

	do
	{
		if (PM_SEAT_HELD(word) >= PM_SEAT_RESERVED(word) && !has_shared)
		{
			pg_atomic_fetch_add_u64(&pm_seats->shared, 1);
			has_shared = true;
		}
	} while (!pg_atomic_compare_exchange_u64(&seat->word, &word, word + 1));
	if (has_shared && PM_SEAT_HELD(word) < PM_SEAT_RESERVED(word))
		pm_shared_take_off(1);
	pm_seat_note_peak(seat, PM_SEAT_HELD(word) + 1);
}

/* Gives the seat back; returns whether one of the shared part is now in the caller's hands. */
static bool
get_up(PmSeat *seat)
{
	uint64		word = pg_atomic_read_u64(&seat->word);

	do
	{
		if (PM_SEAT_HELD(word) == 0)
			return false;
	} while (!pg_atomic_compare_exchange_u64(&seat->word, &word, word - 1));
	return PM_SEAT_HELD(word) > PM_SEAT_RESERVED(word);
}

/* Whatever the terms are. The shared part may be above its total then. */
void
pm_seat_enter_anyway(int which)
{
	pm_shared_decide(true);
	sit_down(&pm_seats->all[which], false);
	pm_shared_decide(false);
}

void
pm_seat_leave(int which)
{
	pm_shared_decide(true);
	if (get_up(&pm_seats->all[which]))
		pm_shared_take_off(1);
	pm_shared_decide(false);
}

/*
 * The login of this process has come to nothing, so it is none of those that the rate admits:
 * else who may log in, but not to this database, could use up all that there are.
 */
void
pm_seat_give_up(int which)
{
	if (my_pace != 0)
		put_token_back(&pm_seats->all[which], my_pace);
	my_pace = 0;
	pm_seat_leave(which);
}

/*
 * A session is of another account now; it is never refused for that. What it had of the shared
 * part goes along, so it never has two: nobody is refused for want of the second, however many
 * move. In between it is "deciding", in no pool, and as many are used as before or afterwards.
 */
void
pm_seat_move(int from, int to)
{
	if (from == to)
		return;
	pm_shared_decide(true);
	sit_down(&pm_seats->all[to], get_up(&pm_seats->all[from]));
	pm_shared_decide(false);
}

/*
 * Would the seat that was just taken not have been there, if all reserves that are declared
 * were in force? By a look at all pools, one after the other, so of this moment only about.
 */
bool
pm_seat_would_not_fit(int which)
{
	int			total = pg_atomic_read_u32(&pm_seats->tried_out);
	int			used = 0;

	if (total == PM_SHARED_NONE ||
		PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[which].word)) <= (int) pg_atomic_read_u32(&pm_seats->all[which].tried_out))
		return false;
	for (int i = 0; i < pm_num_seats(); i++)
		used += Max(PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[i].word)) -
					(int) pg_atomic_read_u32(&pm_seats->all[i].tried_out), 0);
	return used > total;
}

/* The declarations to which the words belong; to be read before any of them. */
uint32
pm_seats_settled(void)
{
	uint32		settled = pg_atomic_read_u32(&pm_seats->settled);

	pg_read_barrier();
	return settled;
}

/*
 * Is what the words said to be held against anybody? Not when the declarations changed since
 * pm_seats_settled(), or shortly before it, though they are settled again: what was read since
 * then may be of the former ones. Nor without the worker.
 */
bool
pm_seats_in_force(uint32 settled)
{
	int64		late = Max(LATE_LEAST, (int64) LATE_INTERVALS * pm_sample_interval);

	pg_read_barrier();
	return pm_guard_enabled &&
		pg_atomic_read_u32(&pm_seats->changes) == settled &&
		pm_monotonic_ms() - (int64) pg_atomic_read_u64(&pm_seats->watched_at) < late;
}
