/*
 * seats.c
 *		Races the guard's places (src/accounts/seats.c, seatterms.c) with processes that are
 *		stopped at any instruction.
 *
 * usage: seats SECONDS
 *
 * The real code, compiled together with this file; of the server there is only what it
 * calls. Children take places of three pools and give them back, or move them from one to
 * another; the parent stops them anywhere, lets them go on, and changes a pool's terms to and
 * fro. Two of the pools have limits, one a reserve; together they want more than there is.
 *
 * What must hold: no pool is ever above its limit (each child that has got a place counts
 * itself in, apart from the code under test); who finds it full learns by what; alone,
 * exactly as many fit as there are places; and in the end, when all have left, every count
 * is 0. And what seats_moves.c says of those that move.
 * Ends with a line of what happened, and with 0 if all that held.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "base/guc.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "seats_moves.h"

#undef printf

#define CHILDREN	8
#define POOLS		3			/* the last is what is undeclared */
#define RESERVED	2			/* of pool 0 */
#define SHORT		1			/* the shared part is so much less than pools
								 * 0 and 1 want */

int			pm_max_pools = 1;
int			pm_max_applications = 1;
int			pm_sample_interval = 1000;
bool		pm_guard_enabled = true;
int			MaxBackends = CHILDREN;
PmAccounts *pm_accounts = NULL;

Size
add_size(Size a, Size b)
{
	return a + b;
}

Size
mul_size(Size a, Size b)
{
	return a * b;
}

void
pg_usleep(long microsec)
{
	usleep(microsec);
}

/* Nobody here asks since when. */
TimestampTz
GetCurrentTimestamp(void)
{
	return 1;
}

static const int limits[POOLS] = {4, 4, -1};

typedef struct Common
{
	pg_atomic_uint32 over;
	pg_atomic_uint32 inside[POOLS]; /* who has got one, surely */
	pg_atomic_uint32 most[POOLS];
	pg_atomic_uint64 taken;
	pg_atomic_uint64 refused[4];	/* by verdict */
	pg_atomic_uint64 moved;
	pg_atomic_uint64 above;		/* must stay 0 */
	pg_atomic_uint64 mistold;	/* likewise: full, by a word that is not */
	pg_atomic_uint32 changing;	/* terms are: no verdict is judged */
	pg_atomic_uint64 changes;
} Common;

static Common *common;

/* At most so many can be there for sure: who is on his way in is not counted, on his way out is. */
static void
come_in(int pool)
{
	uint32		n = pg_atomic_add_fetch_u32(&common->inside[pool], 1);
	uint32		most = pg_atomic_read_u32(&common->most[pool]);

	while (n > most && !pg_atomic_compare_exchange_u32(&common->most[pool], &most, n))
		;
}

static void
go_out(int pool)
{
	pg_atomic_fetch_sub_u32(&common->inside[pool], 1);
	pm_seat_leave(pool);
}

static void
judge(int pool, PmGuardMode mode, uint64 changes)
{
	uint32		n = pg_atomic_read_u32(&common->inside[pool]);

	if (pg_atomic_read_u32(&common->changing) != 0 || pg_atomic_read_u64(&common->changes) != changes)
		return;
	if (limits[pool] >= 0 && mode == PM_GUARD_ENFORCE && n > (uint32) limits[pool])
		pg_atomic_fetch_add_u64(&common->above, 1);
}

/* One try; the place is kept for a moment. */
static void
visit(int pool)
{
	uint64		changes = pg_atomic_read_u64(&common->changes);
	PmSeatSeen	seen;
	PmSeatVerdict verdict = pm_seat_enter(pool, &seen);

	if (verdict != PM_SEAT_FITS)
	{
		pg_atomic_fetch_add_u64(&common->refused[verdict], 1);
		if (verdict == PM_SEAT_POOL_FULL && PM_SEAT_HELD(seen.word) < PM_SEAT_LIMIT(seen.word))
			pg_atomic_fetch_add_u64(&common->mistold, 1);
		return;
	}
	come_in(pool);
	pg_atomic_fetch_add_u64(&common->taken, 1);
	judge(pool, PM_SEAT_MODE(seen.word), changes);
	for (int i = random() % 50; i > 0; i--)
		pg_spin_delay();
	if (random() % 16 == 0 && pool == 0)
	{
		pg_atomic_fetch_sub_u32(&common->inside[pool], 1);
		pm_seat_move(0, 2);
		pm_seat_leave(2);
		pg_atomic_fetch_add_u64(&common->moved, 1);
		return;
	}
	go_out(pool);
}

static void
child(int number)
{
	srandom(number + getpid());
	while (pg_atomic_read_u32(&common->over) == 0)
		visit(random() % (POOLS - 1));
	_exit(0);
}

/* Alone, with pools that are free: exactly as many as there are places. */
static int
fill(int pool)
{
	PmSeatSeen	seen;
	int			n = 0;

	while (n < 100 && pm_seat_enter(pool, &seen) == PM_SEAT_FITS)
		n++;
	return n;
}

static void
empty(int pool, int n)
{
	while (n-- > 0)
		pm_seat_leave(pool);
}

static void
set_terms(int pool, bool loose)
{
	PmSeatTerms terms;

	memset(&terms, 0, sizeof(terms));
	terms.mode = limits[pool] >= 0 ? PM_GUARD_ENFORCE : PM_GUARD_OFF;
	terms.limit = limits[pool];
	terms.reserved = pool == 0 ? RESERVED + loose : 0;
	pm_seat_set_terms(pool, &terms);
}

static void
set_all(void)
{
	for (int i = 0; i < POOLS; i++)
		set_terms(i, false);
	pm_seats_set_shared(limits[0] + limits[1] - RESERVED - SHORT, -1);
}

/* Each count must be what the places say that were taken here, one after the other. */
static int
check_alone(void)
{
	int			first = fill(0);
	int			second = fill(1);
	int			used = seats_shared_used();
	int			wrong = first != limits[0] || second != limits[1] - SHORT || used != first + second - RESERVED;

	empty(1, second);
	wrong |= fill(1) != limits[1] - SHORT;

	/*
	 * what is given back of the reserve is nobody else's; who goes to where
	 * there is none needs one
	 */
	empty(0, first);
	wrong |= seats_shared_used() != second;
	pm_seat_enter_anyway(0);
	pm_seat_move(0, 2);
	wrong |= seats_shared_used() != second + 1;
	pm_seat_move(2, 0);
	wrong |= seats_shared_used() != second;
	empty(0, 1);
	empty(1, second);
	/* who is admitted anyway takes of the reserve first, too */
	pm_seat_enter_anyway(0);
	wrong |= (pg_atomic_read_u64(&pm_seats->shared) & ((UINT64CONST(1) << PM_SHARED_TOTAL_SHIFT) - 1)) != 0;
	empty(0, 1);
	if (wrong)
		printf("alone: %d and %d, shared %d\n", first, second, used);
	return wrong;
}

/* A token bucket of 3 at once and 1,000 a second, above a base of 1. */
static int
check_rate(void)
{
	PmSeatTerms terms;
	PmSeatSeen	seen;
	int			n = 0;
	int			wrong;

	memset(&terms, 0, sizeof(terms));
	terms.mode = PM_GUARD_ENFORCE;
	terms.limit = -1;
	terms.base = 1;
	terms.rate = 1;
	terms.burst = 3;
	pm_seat_set_terms(1, &terms);
	while (n < 100 && pm_seat_enter(1, &seen) == PM_SEAT_FITS)
		n++;
	wrong = n != 4 || pm_seat_enter(1, &seen) != PM_SEAT_TOO_FAST;
	empty(1, n);
	/* below base none is asked for, and none is used up */
	wrong |= pm_seat_enter(1, &seen) != PM_SEAT_FITS || pm_seat_enter(1, &seen) != PM_SEAT_TOO_FAST;
	empty(1, 1);
	pg_atomic_write_u64(&pm_seats->all[1].due, 0);
	/* what finds no place gives its token back */
	terms.limit = 2;
	terms.burst = 1;
	pm_seat_set_terms(1, &terms);
	pm_seats_set_shared(1, -1);
	wrong |= pm_seat_enter(1, &seen) != PM_SEAT_FITS || pm_seat_enter(1, &seen) != PM_SEAT_SHARED_FULL;
	pm_seats_set_shared(-1, -1);
	wrong |= pm_seat_enter(1, &seen) != PM_SEAT_FITS;
	empty(1, 2);
	pg_atomic_write_u64(&pm_seats->all[1].due, 0);
	if (wrong)
		printf("rate: %d\n", n);
	return wrong;
}

/* Stops children anywhere, and changes the terms now and then. */
static void
disturb(const pid_t *children, double seconds)
{
	int64		end = pm_monotonic_us() + (int64) (seconds * 1000000);

	while (pm_monotonic_us() < end)
	{
		pid_t		victim = children[random() % CHILDREN];

		kill(victim, SIGSTOP);
		usleep(random() % 300);
		if (random() % 8 == 0)
		{
			pg_atomic_fetch_add_u32(&common->changing, 1);
			pg_atomic_fetch_add_u64(&common->changes, 1);
			set_terms(0, true);
			usleep(50);
			set_terms(0, false);
			pg_atomic_fetch_sub_u32(&common->changing, 1);
		}
		kill(victim, SIGCONT);
	}
}

static int
race(double seconds)
{
	pid_t		children[CHILDREN];
	int			wrong = 0;

	for (int i = 0; i < CHILDREN; i++)
	{
		if ((children[i] = fork()) == 0)
			child(i);
	}
	disturb(children, seconds);
	pg_atomic_write_u32(&common->over, 1);
	for (int i = 0; i < CHILDREN; i++)
	{
		int			status;

		waitpid(children[i], &status, 0);
		wrong |= status != 0;
	}
	for (int i = 0; i < POOLS; i++)
		wrong |= PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[i].word)) != 0;
	wrong |= seats_shared_used() != 0;
	wrong |= PM_SHARED_DECIDING(pg_atomic_read_u64(&pm_seats->shared)) != 0;
	return wrong;
}

/* Should used be too low, it stays within its bits, and nothing beside it is touched. */
static int
check_too_low(void)
{
	PmSeatTerms terms;
	PmSeatSeen	seen;
	int			total = PM_SHARED_TOTAL(pg_atomic_read_u64(&pm_seats->shared));
	int			wrong = fill(1) == 0;

	memset(&terms, 0, sizeof(terms));
	terms.limit = -1;
	pm_shared_correct(seats_shared_used());
	terms.reserved = 1;
	pm_seat_set_terms(1, &terms);
	wrong |= seats_shared_used() != 0 ||
		PM_SHARED_DECIDING(pg_atomic_read_u64(&pm_seats->shared)) != 0 ||
		PM_SHARED_TOTAL(pg_atomic_read_u64(&pm_seats->shared)) != total ||
		pm_seat_enter(0, &seen) != PM_SEAT_FITS;
	empty(0, 1);
	empty(1, PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[1].word)));
	if (wrong)
		printf("too low: shared %llx\n", (unsigned long long) pg_atomic_read_u64(&pm_seats->shared));
	return wrong;
}

/* What a login has seen of former declarations is not held against it when others are settled. */
static int
check_settled(void)
{
	uint32		before;
	int			wrong;

	pg_atomic_write_u64(&pm_seats->watched_at, pm_monotonic_ms());
	pg_atomic_write_u32(&pm_seats->settled, pg_atomic_read_u32(&pm_seats->changes));
	before = pm_seats_settled();
	wrong = !pm_seats_in_force(before);
	pm_seats_change();
	wrong |= pm_seats_in_force(before) || pm_seats_in_force(pm_seats_settled());
	pg_atomic_write_u32(&pm_seats->settled, pg_atomic_read_u32(&pm_seats->changes));
	wrong |= pm_seats_in_force(before) || !pm_seats_in_force(pm_seats_settled());
	if (wrong)
		printf("settled: wrong\n");
	return wrong;
}

int
main(int argc, char **argv)
{
	Size		size;
	int			wrong;

	pm_accounts = NULL;
	size = pm_seats_section.size();
	pm_seats_section.attach(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	common = mmap(NULL, sizeof(Common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pm_seats_section.init();

	wrong = check_rate();
	set_all();
	wrong |= check_alone();
	wrong |= race(atof(argv[1]));
	set_all();
	wrong |= check_alone();
	wrong |= check_moves(atof(argv[1]) / 2);
	wrong |= check_too_low();
	wrong |= check_settled();
	wrong |= pg_atomic_read_u64(&common->above) != 0 || pg_atomic_read_u64(&common->mistold) != 0;
	printf("%llu taken, %llu + %llu refused, %llu moved, most %u and %u, %llu above, %llu changes\n",
		   (unsigned long long) pg_atomic_read_u64(&common->taken),
		   (unsigned long long) pg_atomic_read_u64(&common->refused[PM_SEAT_POOL_FULL]),
		   (unsigned long long) pg_atomic_read_u64(&common->refused[PM_SEAT_SHARED_FULL]),
		   (unsigned long long) pg_atomic_read_u64(&common->moved),
		   pg_atomic_read_u32(&common->most[0]), pg_atomic_read_u32(&common->most[1]),
		   (unsigned long long) pg_atomic_read_u64(&common->above),
		   (unsigned long long) pg_atomic_read_u64(&common->changes));
	return wrong;
}
