/*
 * seats_moves.c
 *		Sessions that move from one pool to another, leave and come back, and who comes
 *		meanwhile: see seats.c.
 *
 * What must hold: no mover has two places, not for a moment, so whoever wants the one beside
 * theirs always gets it, in a pool without a reserve and in one with; and whenever all movers
 * stand still, what is used of the shared part is no less than what the pools have of it, and
 * no more either, if nobody is deciding.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts/seats.h"
#include "base/clock.h"

#include "seats_moves.h"

#undef printf

#define POOLS		3
#define MOST_MOVERS	3

/* Each mover has one place at most, in pool 0 or 2; what is reserved is of pool 0. The visitor wants one in that. */
typedef struct Course
{
	int			movers;
	int			reserved;
	int			shared;
	int			visited;
} Course;

static const Course courses[] = {
	{.movers = 3,.reserved = 0,.shared = 4,.visited = 1},
	{.movers = 3,.reserved = 2,.shared = 4,.visited = 1},
	{.movers = 1,.reserved = 1,.shared = 1,.visited = 0},
};

typedef struct Moves
{
	pg_atomic_uint32 over;
	pg_atomic_uint64 moved;
} Moves;

static Moves *moves;

int
seats_shared_used(void)
{
	return PM_SHARED_USED(pg_atomic_read_u64(&pm_seats->shared));
}

static void
set_course(int reserved, int shared)
{
	PmSeatTerms terms;

	memset(&terms, 0, sizeof(terms));
	terms.limit = -1;
	for (int i = 0; i < POOLS; i++)
	{
		terms.reserved = i == 0 ? reserved : 0;
		pm_seat_set_terms(i, &terms);
	}
	pm_seats_set_shared(shared, -1);
}

static void
mover(void)
{
	pm_seat_enter_anyway(0);
	while (pg_atomic_read_u32(&moves->over) == 0)
	{
		pm_seat_move(0, 2);
		pm_seat_move(2, 0);
		pm_seat_leave(0);
		pm_seat_enter_anyway(0);
		pg_atomic_fetch_add_u64(&moves->moved, 2);
	}
	pm_seat_leave(0);
	_exit(0);
}

/* All movers stand still, anywhere. */
static bool
sums_up(const pid_t *movers, int n)
{
	uint64		shared;
	int			sum = 0;

	for (int i = 0; i < n; i++)
		kill(movers[i], SIGSTOP);
	for (int i = 0; i < n; i++)
		waitpid(movers[i], NULL, WUNTRACED);
	for (int i = 0; i < POOLS; i++)
		sum += pm_seat_shared_part(pg_atomic_read_u64(&pm_seats->all[i].word));
	shared = pg_atomic_read_u64(&pm_seats->shared);
	for (int i = 0; i < n; i++)
		kill(movers[i], SIGCONT);
	return PM_SHARED_DECIDING(shared) == 0 ? PM_SHARED_USED(shared) == sum : PM_SHARED_USED(shared) >= sum;
}

/* Of what must not be, how often it was. */
typedef struct Faults
{
	int			refused;
	int			twice;
	int			unequal;
} Faults;

static int
visit_while_they_move(const Course *course, const pid_t *movers, double seconds, Faults *faults)
{
	int64		end = pm_monotonic_us() + (int64) (seconds * 1000000);
	int			tried = 0;
	PmSeatSeen	seen;

	for (; pm_monotonic_us() < end; tried++)
	{
		if (tried % 1000 == 0)
			faults->unequal += !sums_up(movers, course->movers);
		faults->twice += seats_shared_used() > course->movers;
		if (pm_seat_enter(course->visited, &seen) == PM_SEAT_FITS)
			pm_seat_leave(course->visited);
		else
			faults->refused++;
	}
	return tried;
}

static int
run_course(const Course *course, double seconds)
{
	pid_t		movers[MOST_MOVERS];
	Faults		faults = {0};
	int			tried;
	bool		died = false;

	set_course(course->reserved, course->shared);
	pg_atomic_write_u32(&moves->over, 0);
	pg_atomic_write_u64(&moves->moved, 0);
	for (int i = 0; i < course->movers; i++)
	{
		if ((movers[i] = fork()) == 0)
			mover();
	}
	tried = visit_while_they_move(course, movers, seconds, &faults);
	pg_atomic_write_u32(&moves->over, 1);
	for (int i = 0; i < course->movers; i++)
	{
		int			status;

		waitpid(movers[i], &status, 0);
		died |= status != 0;
	}
	printf("pool %d, reserve %d: %d of %d refused in %llu moves, %d times with two places, %d sums wrong\n",
		   course->visited, course->reserved, faults.refused, tried,
		   (unsigned long long) pg_atomic_read_u64(&moves->moved), faults.twice, faults.unequal);
	return died || faults.refused > 0 || faults.twice > 0 || faults.unequal > 0 || tried == 0 ||
		pg_atomic_read_u64(&moves->moved) == 0 || seats_shared_used() != 0;
}

/* One stands still in between, while who was in the reserve leaves: then its place is there. */
static int
check_freed_reserve(void)
{
	PmSeatSeen	seen;
	PmSeatVerdict verdict;
	pid_t		leaver;

	set_course(1, 1);
	pm_seat_enter_anyway(0);
	pm_seat_enter_anyway(1);
	pm_shared_decide(true);
	if ((leaver = fork()) == 0)
	{
		usleep(50000);
		pm_seat_leave(0);
		_exit(0);
	}
	verdict = pm_seat_enter(0, &seen);
	waitpid(leaver, NULL, 0);
	pm_shared_decide(false);
	if (verdict == PM_SEAT_FITS)
		pm_seat_leave(0);
	else
		printf("refused, though a reserved place was free\n");
	pm_seat_leave(1);
	return verdict != PM_SEAT_FITS || seats_shared_used() != 0;
}

int
check_moves(double seconds)
{
	int			wrong;

	moves = mmap(NULL, sizeof(Moves), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* it waits for half a second, in which the other one may not run */
	wrong = check_freed_reserve() && check_freed_reserve() && check_freed_reserve();
	for (int i = 0; i < (int) lengthof(courses); i++)
		wrong |= run_course(&courses[i], seconds / lengthof(courses));
	set_course(0, MOST_MOVERS + 1);
	return wrong;
}
