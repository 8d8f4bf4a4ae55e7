/*
 * simulate.c
 *		A pool's processes as queues, event after event.
 *
 * Each process is a queue of its own, with a pool as SQLAlchemy's QueuePool is one: a
 * checkout takes a connection that is idle, else opens one up to pool_size + max_overflow,
 * else waits, first come first served, until one is given back or pool_timeout is over. What
 * is given back goes to who waits, else stays open up to pool_size, else is closed. Who opens
 * a connection has it for as long as that takes, too.
 *
 * Checkouts come in bursts: bursts at random (Poisson), at the rate of the stretch by the mean
 * size of one; the sizes such that the index of dispersion of what comes in a tick is the one
 * of the stretch (that is E[B * B] / E[B] of the size B: D. R. Cox, V. Isham, "Point
 * Processes", 1980, chapter 5.1), geometric or all alike; each checkout of one somewhere in
 * its spread, evenly. With an index of 1 that is a burst of one each: plain Poisson. Less than
 * 1, which is more regular, is taken for 1. Which process a checkout comes to is a matter of
 * chance, by the share of each and without a memory.
 *
 * Each replication has random numbers of its own, for arrivals, holds and set-ups apart, and
 * draws them when a checkout comes. So the same seed gives other sizes the same checkouts, and
 * what differs is what the sizes do (common random numbers). What the
 * replications come to is totals.c's.
 *
 * What would be more than the budget of arrivals is replayed in part: of every so-and-so-many
 * stretches one, another one in each replication, after a run-up that does not count. Else all
 * of it, one stretch after the other, after one run-up. All begin with base open and idle.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "planning/simulate.h"
#include "utils/memutils.h"

#define RUN_UP			30.0	/* s */
#define PARTS			8		/* a replication replays so many, at least */
#define LARGEST_BURSTS	10000.0 /* E[B * B] / E[B]: more is no burst */
#define CHECK_INTERVAL	1024	/* events, between looks whether to stop */
#define UNBOUNDED		PG_INT32_MAX
#define ARRIVAL			(-1)	/* as a process: that is found out then */

typedef struct Event
{
	double		at;
	int			process;		/* gives one back, or ARRIVAL */
} Event;

typedef struct Waiter
{
	double		since;
	double		hold;
} Waiter;

/* One process and its pool; who waits is in a ring. */
typedef struct Process
{
	int			idle;
	int			busy;
	int			first;
	int			waiting;
	int			room;
	Waiter	   *waiters;
} Process;

typedef struct Run
{
	const PmSimulation *what;
	int			ceiling;		/* of each process */
	int			kept;
	pg_prng_state arriving;
	pg_prng_state holding;
	pg_prng_state opening;
	int64		events_seen;

	/* events to come, as a heap: the next one first */
	Event	   *events;
	int			nevents;
	int			room;

	/* now */
	double		now;
	Process    *processes;
	int			busy;
	int			open;
	int			waiting;
	int			full;			/* processes */

	/* arrivals to come */
	double		next_burst;
	int			stretch;
	int			last_stretch;
	double		stretch_end;

	/* what counts */
	double		from;
	double		until;
	PmTotals	totals;
} Run;

/* ---- events ---- */

static void
push_event(Run *run, double at, int process)
{
	int			i = run->nevents++;

	if (i == run->room)
	{
		run->room *= 2;
		run->events = repalloc_huge(run->events, sizeof(Event) * run->room);
	}
	while (i > 0 && run->events[(i - 1) / 2].at > at)
	{
		run->events[i] = run->events[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	run->events[i] = (Event)
	{
		.at = at,.process = process
	};
}

/* There must be one. */
static Event
pop_event(Run *run)
{
	Event		next = run->events[0];
	Event		moved = run->events[--run->nevents];
	int			i = 0;
	int			child;

	while ((child = 2 * i + 1) < run->nevents)
	{
		if (child + 1 < run->nevents && run->events[child + 1].at < run->events[child].at)
			child++;
		if (run->events[child].at >= moved.at)
			break;
		run->events[i] = run->events[child];
		i = child;
	}
	run->events[i] = moved;
	return next;
}

/* Time goes on: what has been the case until then. */
static void
go_on(Run *run, double at)
{
	double		time = Min(at, run->until) - Max(run->now, run->from);
	const PmSimulation *what = run->what;

	run->now = at;
	if (time <= 0)
		return;
	run->totals.time += time;
	run->totals.full += time * run->full;
	run->totals.all_full += run->full == what->processes ? time : 0;
	run->totals.overflow += what->pool_size > 0 && run->open > (int64) what->processes * what->pool_size ? time : 0;
	run->totals.connections += time * run->open;
	run->totals.busy += time * run->busy;
}

static bool
counts(const Run *run, double at)
{
	return at >= run->from && at < run->until;
}

/* ---- what becomes of a checkout ---- */

/* So many seconds after it came; gave_up: it got none. */
static void
settle_checkout(Run *run, double since, double wait, bool gave_up)
{
	if (counts(run, since))
		pm_totals_count(&run->totals, wait, gave_up);
}

static void
wait_in(Run *run, Process *process, double hold)
{
	if (process->waiting == process->room)
	{
		int			room = Max(2 * process->room, 16);
		Waiter	   *waiters = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Waiter) * room);

		for (int i = 0; i < process->waiting; i++)
			waiters[i] = process->waiters[(process->first + i) % process->room];
		if (process->waiters != NULL)
			pfree(process->waiters);
		process->waiters = waiters;
		process->room = room;
		process->first = 0;
	}
	process->waiters[(process->first + process->waiting++) % process->room] = (Waiter)
	{
		.since = run->now,.hold = hold
	};
	run->waiting++;
}

/* A connection is taken from what is idle, or was opened. */
static void
check_out(Run *run, int i, double hold)
{
	Process    *process = &run->processes[i];

	process->busy++;
	run->busy++;
	run->full += process->busy == run->ceiling;
	push_event(run, run->now + hold, i);
	settle_checkout(run, run->now, 0, false);
}

static void
arrive(Run *run)
{
	const PmSimulation *what = run->what;
	int			i = what->shares->n > 0 ? pm_choose(what->shares, &run->arriving) :
	(int) (pg_prng_double(&run->arriving) * what->processes);
	Process    *process = &run->processes[i];
	double		hold = pm_duration(what->holds, &run->holding);

	if (process->idle > 0)
	{
		process->idle--;
		check_out(run, i, hold);
	}
	else if (process->busy < run->ceiling)
	{
		if (what->setups->ranges.n > 0)
			hold += pm_duration(what->setups, &run->opening);
		run->open++;
		run->totals.opened += counts(run, run->now);
		check_out(run, i, hold);
	}
	else
		wait_in(run, process, hold);
}

/* To whom it goes that was given back; false: nobody waits any more. */
static bool
next_waiter(Run *run, Process *process, Waiter *next)
{
	while (process->waiting > 0)
	{
		Waiter	   *waiter = &process->waiters[process->first];
		bool		gave_up = run->now - waiter->since > run->what->pool_timeout;

		process->first = (process->first + 1) % process->room;
		process->waiting--;
		run->waiting--;
		settle_checkout(run, waiter->since, gave_up ? run->what->pool_timeout : run->now - waiter->since, gave_up);
		if (!gave_up)
		{
			*next = *waiter;
			return true;
		}
	}
	return false;
}

static void
give_back(Run *run, int i)
{
	Process    *process = &run->processes[i];
	Waiter		next;

	if (next_waiter(run, process, &next))
	{
		push_event(run, run->now + next.hold, i);
		return;
	}
	run->full -= process->busy == run->ceiling;
	process->busy--;
	run->busy--;
	if (process->idle < run->kept)
		process->idle++;
	else
		run->open--;
}

/* ---- arrivals ---- */

static double
exponential(pg_prng_state *random, double mean)
{
	return -log(1 - pg_prng_double(random)) * mean;
}

/*
 * E[B * B] / E[B] of the bursts, so that it is the dispersion of a tick: what falls on two
 * ticks counts less in each.
 */
static double
size_of_bursts(const PmSimulation *what, const PmStretch *stretch)
{
	double		spread = what->shape.spread;
	double		in_one = spread <= 1 ? 1 - spread / 3 : 1 / spread - 1 / (3 * spread * spread);

	return Min(1 + Max(stretch->dispersion - 1, 0) / in_one, LARGEST_BURSTS);
}

static double
mean_burst(const PmSimulation *what, const PmStretch *stretch)
{
	double		size = size_of_bursts(what, stretch);
	double		floor_of = floor(size);
	double		above;

	if (!what->shape.alike)
		return (size + 1) / 2;
	/* floor and the next one, in such shares that it is in between */
	above = (size - floor_of) * floor_of / (floor_of + 1 - (size - floor_of));
	return floor_of + above;
}

static int
draw_burst(Run *run, const PmStretch *stretch)
{
	double		mean = mean_burst(run->what, stretch);
	double		turn;

	if (mean <= 1)
		return 1;
	turn = pg_prng_double(&run->arriving);
	if (run->what->shape.alike)
		return (int) floor(mean) + (turn < mean - floor(mean));
	return 1 + (int) Min(floor(log(1 - turn) / log(1 - 1 / mean)), 1e6);
}

/* The moment of the next burst; infinity: there is none any more. */
static void
plan_burst(Run *run)
{
	const PmSimulation *what = run->what;

	while (run->stretch <= run->last_stretch)
	{
		const PmStretch *stretch = &what->stretches[run->stretch];

		if (stretch->rate > 0)
		{
			run->next_burst += exponential(&run->arriving, mean_burst(what, stretch) / stretch->rate);
			if (run->next_burst < run->stretch_end)
				return;
		}
		/* nothing is remembered: it may begin anew at any moment */
		run->next_burst = run->stretch_end;
		if (++run->stretch <= run->last_stretch)
			run->stretch_end += what->stretches[run->stretch].seconds;
	}
	run->next_burst = INFINITY;
}

static void
burst(Run *run)
{
	const PmSimulation *what = run->what;
	int			n = draw_burst(run, &what->stretches[run->stretch]);
	double		spread = n > 1 ? what->shape.spread * what->tick : 0;

	go_on(run, run->next_burst);
	for (int i = 0; i < n; i++)
	{
		if (spread > 0)
			push_event(run, run->now + spread * pg_prng_double(&run->arriving), ARRIVAL);
		else
			arrive(run);
	}
	plan_burst(run);
}

/* ---- a replication ---- */

/* Base is open, and idle. */
static void
begin_part(Run *run, int first, int last, double run_up, double seconds)
{
	const PmSimulation *what = run->what;

	for (int i = 0; i < what->processes; i++)
	{
		run->processes[i].idle = what->pool_size;
		run->processes[i].busy = run->processes[i].waiting = 0;
	}
	run->open = what->processes * what->pool_size;
	run->busy = run->full = run->waiting = run->nevents = 0;
	run->now = run->next_burst = 0;
	run->from = run_up;
	run->until = run_up + seconds;
	run->stretch = first;
	run->last_stretch = last;
	run->stretch_end = run_up + what->stretches[first].seconds;
	plan_burst(run);
}

/* These stretches, of which so many seconds count, and until nobody waits who came in them. */
static void
replay_part(Run *run, int first, int last, double run_up, double seconds)
{
	begin_part(run, first, last, run_up, seconds);
	for (;;)
	{
		double		next = run->nevents > 0 ? run->events[0].at : INFINITY;

		if (++run->events_seen % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (Min(next, run->next_burst) >= run->until && run->waiting == 0)
			break;
		if (run->next_burst <= next && run->next_burst < run->until)
			burst(run);
		else if (run->nevents > 0)
		{
			Event		event = pop_event(run);

			go_on(run, event.at);
			if (event.process != ARRIVAL)
				give_back(run, event.process);
			else if (event.at < run->until)
				arrive(run);
		}
	}
	go_on(run, run->until);
}

/* ---- in part ---- */

/* How it is replayed: all in one piece, or parts of it. */
typedef struct Plan
{
	int			step;			/* of so many stretches one; 0: all */
	int64		budget;
	double		seconds;		/* of all stretches */
	double		counted;		/* of those that are replayed */
} Plan;

/* Of one stretch alone, so many seconds count, after half as many at most. */
static double
part_of(const PmStretch *stretch, int64 budget)
{
	double		most = stretch->rate > 0 ? budget / (1.5 * PARTS) / stretch->rate : INFINITY;

	return Min(stretch->seconds, most);
}

static double
run_up_of(double seconds)
{
	return Min(RUN_UP, seconds / 2);
}

static void
make_plan(const PmSimulation *what, Plan *plan)
{
	double		all = 0;
	double		parts = 0;

	memset(plan, 0, sizeof(Plan));
	plan->budget = what->budget;
	for (int i = 0; i < what->nstretches; i++)
	{
		const PmStretch *stretch = &what->stretches[i];
		double		part = part_of(stretch, plan->budget);

		plan->seconds += stretch->seconds;
		all += stretch->seconds * stretch->rate;
		parts += (part + run_up_of(part)) * stretch->rate;
	}
	if (all > plan->budget)
		plan->step = Max((int) ceil(parts / plan->budget), 1);
}

static void
replay(Run *run, Plan *plan, int replication)
{
	const PmSimulation *what = run->what;

	if (plan->step == 0)
	{
		replay_part(run, 0, what->nstretches - 1, run_up_of(2 * plan->seconds), plan->seconds);
		plan->counted += plan->seconds;
		return;
	}
	for (int i = (int64) replication * plan->step / what->replications; i < what->nstretches; i += plan->step)
	{
		double		seconds = part_of(&what->stretches[i], plan->budget);

		replay_part(run, i, i, run_up_of(seconds), seconds);
		plan->counted += seconds;
	}
}

/* ---- all of them ---- */

static void
begin_run(Run *run, const PmSimulation *what)
{
	run->what = what;
	run->kept = what->pool_size == 0 ? UNBOUNDED : what->pool_size;
	run->ceiling = what->pool_size == 0 || what->max_overflow < 0 ? UNBOUNDED : what->pool_size + what->max_overflow;
	run->room = 1024;
	run->events = palloc(sizeof(Event) * run->room);
	run->processes = palloc0(sizeof(Process) * what->processes);
}

static void
seed_run(Run *run, uint64 seed, int replication)
{
	/* what pg_prng_seed() makes of neighbours is far apart */
	pg_prng_seed(&run->arriving, seed * 4096 + 4 * replication);
	pg_prng_seed(&run->holding, seed * 4096 + 4 * replication + 1);
	pg_prng_seed(&run->opening, seed * 4096 + 4 * replication + 2);
	memset(&run->totals, 0, sizeof(PmTotals));
}

/* Allocates in the current memory context, and frees it only without an error. */
void
pm_simulate(const PmSimulation *simulation, PmSimulated *simulated)
{
	Run		   *run = palloc0(sizeof(Run));
	int			n = simulation->replications;
	double		(*outcomes)[PM_NUM_OUTCOMES] = palloc(sizeof(*outcomes) * n);
	Plan		plan;

	make_plan(simulation, &plan);
	begin_run(run, simulation);
	simulated->arrivals = 0;
	for (int i = 0; i < n; i++)
	{
		seed_run(run, simulation->seed, i);
		replay(run, &plan, i);
		pm_totals_conclude(&run->totals, simulation->processes, plan.seconds, outcomes[i]);
		simulated->arrivals += run->totals.arrivals;
	}
	simulated->share = plan.seconds > 0 ? plan.counted / (plan.seconds * n) : 0;
	for (int i = 0; i < PM_NUM_OUTCOMES; i++)
		simulated->of[i] = pm_estimate((const double (*)[PM_NUM_OUTCOMES]) outcomes, n, i);
	for (int i = 0; i < simulation->processes; i++)
	{
		if (run->processes[i].waiters != NULL)
			pfree(run->processes[i].waiters);
	}
	pfree(run->processes);
	pfree(run->events);
	pfree(outcomes);
	pfree(run);
}
