/*
 * guardcheck.c
 *		Is the guard's count right?
 *
 * The guard refuses by what it has counted, so an error of its own would lock clients out for
 * good. Here it is set against what the server shows: a pool's seats must be no more than its
 * sessions in the status array, and its logins on their way. (They may be fewer: who has no
 * slot has no seat.) A tick says something only if nobody came or went meanwhile. When three
 * have said that there are too many, the pool is disarmed, what all three have seen too much
 * is taken off, and it is armed again as soon as the count is right.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/seats.h"
#include "events/events.h"
#include "miscadmin.h"
#include "worker/guardcheck.h"

#define STRIKES		3

typedef struct Strikes
{
	int			n;
	int			least;			/* surplus of these ticks */
} Strikes;

/* The last one is the shared part's. */
static Strikes strikes[2 * PM_MOST_POOLS + 2];

static int
account_of(int seat)
{
	return seat == pm_undeclared_seat() ? pm_undeclared_account() : seat;
}

PmSeatMoment *
pm_guard_moments(void)
{
	PmSeatMoment *moments = palloc0(sizeof(PmSeatMoment) * pm_num_seats());

	for (int i = 0; i < pm_num_seats(); i++)
	{
		moments[i].word = pg_atomic_read_u64(&pm_seats->all[i].word);
		moments[i].came = pm_account_counted(account_of(i), PM_CONNECTS) + pm_account_counted(account_of(i), PM_TAKEN_OVER);
	}
	for (int i = 0; i < MaxBackends; i++)
	{
		uint32		entering = pg_atomic_read_u32(&pm_seats->entering[i]);

		if (entering > 0 && entering <= (uint32) pm_num_seats())
			moments[entering - 1].entering++;
	}
	return moments;
}

static bool
was_quiet(const PmSeatMoment *before, const PmSeatMoment *after)
{
	return before->word == after->word && before->came == after->came && before->entering == after->entering;
}

/* Another tick has seen so much too much; how much all have, when there are enough of them. */
static int
strike(Strikes *of, int surplus)
{
	if (surplus == 0)
	{
		of->n = 0;
		return 0;
	}
	of->least = of->n == 0 || abs(surplus) < abs(of->least) ? surplus : of->least;
	if (++of->n < STRIKES)
		return 0;
	of->n = 0;
	return of->least;
}

static void
disarm(int seat, const char *pool, int held, int surplus)
{
	pg_atomic_write_u32(&pm_seats->all[seat].disarmed, 1);
	pm_seat_correct(seat, surplus);
	pm_event(PM_EVENT_GUARD_DISARMED, pool, 0, "{\"places\": %d, \"too_many\": %d}", held, surplus);
	ereport(LOG,
			(errmsg("pool_monitor counted %d connections too many for the guard of %s%s%s and admits all until that is mended",
					surplus, pool ? "pool \"" : "undeclared applications", pool ? pool : "", pool ? "\"" : "")));
}

static void
arm(int seat, const char *pool)
{
	pg_atomic_write_u32(&pm_seats->all[seat].disarmed, 0);
	pm_event(PM_EVENT_GUARD_ARMED, pool, 0, "{\"places\": %d}",
			 PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[seat].word)));
}

static void
check_seat(int seat, const char *pool, const PmSeatMoment *before, const PmSeatMoment *after, int sessions)
{
	int			held = PM_SEAT_HELD(after->word);
	int			surplus = Max(held - sessions - after->entering, 0);
	int			sure;

	if (!was_quiet(before, after))
		return;
	sure = strike(&strikes[seat], surplus);
	if (sure > 0)
		disarm(seat, pool, held, sure);
	else if (surplus == 0 && pg_atomic_read_u32(&pm_seats->all[seat].disarmed) != 0)
		arm(seat, pool);
}

/* The shared part must be the sum of what the pools have of it. */
static void
check_shared(const PmSeatMoment *before, const PmSeatMoment *after)
{
	uint64		shared = pg_atomic_read_u64(&pm_seats->shared);
	int			sum = 0;
	int			sure;

	for (int i = 0; i < pm_num_seats(); i++)
	{
		if (before[i].word != after[i].word || pg_atomic_read_u64(&pm_seats->all[i].word) != after[i].word)
			return;
		sum += pm_seat_shared_part(after[i].word);
	}
	if (PM_SHARED_DECIDING(shared) != 0)
		return;
	sure = strike(&strikes[pm_num_seats()], PM_SHARED_USED(shared) - sum);
	if (sure == 0)
		return;
	pm_shared_correct(sure);
	pm_event(PM_EVENT_GUARD_DISARMED, NULL, 0, "{\"places\": %d, \"too_many\": %d}", PM_SHARED_USED(shared), sure);
	pm_event(PM_EVENT_GUARD_ARMED, NULL, 0, "{\"places\": %d}", PM_SHARED_USED(shared) - sure);
}

void
pm_guard_check(const PmSeatMoment *before, const PmRules *rules, const PmCounts *pools, const PmCounts *undeclared)
{
	const PmSeatMoment *after = pm_guard_moments();
	int			others = undeclared->connections;

	for (int i = 0; i < rules->npools; i++)
	{
		int			seat = pm_seat_of(rules->accounts[i]);

		if (seat != pm_undeclared_seat())
			check_seat(seat, rules->pools[i].name, &before[seat], &after[seat], pools[i].connections);
		else
			others += pools[i].connections; /* it has found no account of its
											 * own yet */
	}
	check_seat(pm_undeclared_seat(), NULL, &before[pm_undeclared_seat()], &after[pm_undeclared_seat()], others);
	check_shared(before, after);
}
