/*
 * simulate.c
 *		A pool's processes as queues, event after event.
 *
 * Checkouts come in bursts (stream.c), each checkout of one somewhere in its spread, evenly.
 * Which process a checkout comes to, or a burst that stays together, is a matter of chance, by
 * the share of each and without a memory; or each has its turn. What becomes of it there is queues.c's.
 *
 * Or they come from callers, who wait for their answer before they ask again (callers.c): then
 * each belongs to a process, and what it asks next goes to the agenda when it is answered.
 *
 * Each replication has random numbers of its own, for arrivals, holds and set-ups apart, and
 * draws them when a checkout comes. So the same seed gives other sizes the same checkouts, and
 * what differs is what the sizes do (common random numbers); but for callers, whose order is that
 * of their answers. What each replays is said in
 * parts.c, who waits where a part begins in backlog.c, what the replications come to in
 * totals.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "planning/agenda.h"
#include "planning/backlog.h"
#include "planning/callers.h"
#include "planning/parts.h"
#include "planning/queues.h"
#include "planning/simulate.h"
#include "planning/stream.h"

#define CHECK_INTERVAL	1024	/* events, between looks whether to stop */

typedef struct Run
{
	const PmSimulation *what;
	pg_prng_state arriving;
	pg_prng_state holding;
	pg_prng_state waiting;		/* for who waits where a part begins */
	int64		events_seen;
	int			turn;			/* the process that had the last checkout */
	PmAgenda	agenda;
	PmStream	stream;			/* of whom nobody waits for an answer */
	PmAsking	asking;			/* if all do */
	int		   *callers;		/* of each process; NULL: nobody does */
	PmQueues	queues;
	PmBacklog	backlog;
	double		counted;		/* seconds, of all replications */
	PmTotals	totals;			/* of this one */
} Run;

/* ---- events ---- */

static int
some_process(Run *run)
{
	const PmSimulation *what = run->what;

	if (run->stream.shape.in_turn)
		return run->turn = (run->turn + 1) % what->processes;
	return what->shares->n > 0 ? pm_choose(what->shares, &run->arriving) :
		(int) (pg_prng_double(&run->arriving) * what->processes);
}

static void
arrive(Run *run, int arrival)
{
	int			process = arrival == PM_ARRIVAL ? some_process(run) : PM_ARRIVAL_AT(arrival);

	Assert(process >= 0 && process < run->what->processes);
	pm_queues_arrive(&run->queues, process, pm_hold(run->what->holds, &run->holding));
}

static void
burst(Run *run)
{
	const PmSimulation *what = run->what;
	int			n = pm_stream_draw(&run->stream);
	double		spread = n > 1 ? run->stream.shape.spread * what->tick : 0;
	int			arrival = n > 1 && run->stream.shape.together ? PM_ARRIVAL_AT(some_process(run)) : PM_ARRIVAL;

	pm_queues_go_on(&run->queues, run->stream.next);
	for (int i = 0; i < n; i++)
	{
		if (spread > 0)
			pm_agenda_add(&run->agenda, run->stream.next + spread * pg_prng_double(&run->arriving), arrival);
		else
			arrive(run, arrival);
	}
	pm_stream_go_on(&run->stream);
}

/* So many callers of this process think from now on, and ask then. */
static void
think(Run *run, int process, int n)
{
	for (int i = 0; i < n; i++)
	{
		double		next = pm_asking_next(&run->asking, run->queues.now);

		if (next < run->queues.until)
			pm_agenda_add(&run->agenda, next, PM_ARRIVAL_AT(process));
	}
}

static void
give_up(Run *run, int process)
{
	think(run, process, pm_queues_give_up(&run->queues, process));
}

/* Who waits does so because connections are busy, and these are given back. */
static void
due(Run *run)
{
	PmDue		event;

	Assert(run->agenda.n > 0);
	if (run->agenda.n == 0)
		elog(ERROR, "in the simulation, checkouts wait for connections of which none is busy");
	event = pm_agenda_take(&run->agenda);
	pm_queues_go_on(&run->queues, event.at);
	if (event.process >= 0)
	{
		pm_queues_give_back(&run->queues, event.process);
		if (run->callers != NULL)
			think(run, event.process, 1);
	}
	else if (PM_IS_GIVES_UP(event.process))
		give_up(run, PM_WHO_GIVES_UP(event.process));
	else if (event.at < run->queues.until)
		arrive(run, event.process);
}

/* ---- who waits where a part begins ---- */

/* More than can be served in this time stands outside of the queue. */
static double
in_queue(const PmBehind *behind, double until)
{
	return Min(behind->before, until);
}

/*
 * So many checkouts are one in the queue, with a hold as long as theirs: what is behind a burst
 * can be many times as many as come in the part itself.
 */
static double
joined(const Run *run, double until)
{
	double		waiting = 0;

	for (int i = 0; i < run->backlog.n; i++)
	{
		const PmBehind *behind = &run->backlog.all[i];

		waiting += (double) (behind->end - behind->first) * in_queue(behind, until);
	}
	waiting *= run->queues.ceiling / run->what->holds->mean;
	return Max(waiting / pm_parts_most(run->what), 1);
}

/* At its ceiling, and as many wait as are served in so many seconds. They do not count. */
static void
fall_behind(Run *run, int process, double wait, double times)
{
	int			ceiling = run->queues.ceiling;
	double		waiting = wait / run->what->holds->mean * ceiling / times;

	for (int i = 0; i < ceiling; i++)
		pm_queues_arrive(&run->queues, process, pm_hold(run->what->holds, &run->waiting) * pg_prng_double(&run->waiting));
	for (waiting += pg_prng_double(&run->waiting); waiting >= 1; waiting--)
		pm_queues_arrive(&run->queues, process, pm_hold(run->what->holds, &run->waiting) * times);
}

static void
begin_behind(Run *run, double until)
{
	double		times = joined(run, until);

	for (int i = 0; i < run->backlog.n; i++)
	{
		const PmBehind *behind = &run->backlog.all[i];
		double		wait = in_queue(behind, until);

		for (int j = behind->first; j < behind->end && wait > 0; j++)
		{
			pm_queues_lag(&run->queues, j, behind->before - wait);
			fall_behind(run, j, wait, times);
		}
	}
}

/* ---- a replication ---- */

/* As if it had gone on for long already: who waits has done so since before, the first for longest. */
static void
begin_in(Run *run, int process)
{
	PmQueues   *queues = &run->queues;
	int			callers = run->callers[process];
	int			waiting;
	int			thinking;

	pm_asking_present(&run->asking, callers, queues->ceiling, &waiting, &thinking);
	think(run, process, thinking);
	for (int i = thinking + waiting; i < callers; i++)
		arrive(run, PM_ARRIVAL_AT(process));
	for (int i = waiting; i > 0; i--)
	{
		queues->now = -run->what->holds->mean * i / queues->ceiling;
		arrive(run, PM_ARRIVAL_AT(process));
	}
	queues->now = 0;
}

static void
begin_asking(Run *run, const PmPart *part)
{
	pm_asking_begin(&run->asking, part->first, part->last, part->run_up);
	run->stream.next = INFINITY;
	for (int i = 0; i < run->what->processes; i++)
	{
		CHECK_FOR_INTERRUPTS();
		begin_in(run, i);
	}
}

static void
begin_part(Run *run, const PmPart *part, bool behind)
{
	double		until = part->run_up + part->seconds;

	run->agenda.n = 0;
	run->totals.weight = part->weight;
	pm_queues_begin(&run->queues, part->first, part->run_up, until);
	if (run->callers != NULL)
	{
		begin_asking(run, part);
		return;
	}
	pm_stream_begin(&run->stream, part->first, part->last, part->run_up);
	if (behind)
		begin_behind(run, until);
}

/* Until nobody waits who came in it. */
static void
replay_part(Run *run, const PmPart *part, bool behind)
{
	double		until = part->run_up + part->seconds;

	begin_part(run, part, behind);
	for (;;)
	{
		double		next = pm_agenda_next(&run->agenda);
		double		next_burst = run->stream.next;

		if (++run->events_seen % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (Min(next, next_burst) >= until && run->queues.waiting == 0)
			break;
		if (next_burst <= next && next_burst < until)
			burst(run);
		else
			due(run);
	}
	pm_queues_go_on(&run->queues, until);
	run->counted += part->seconds;
}

static void
seed_run(Run *run, uint64 seed, int replication)
{
	/* what pg_prng_seed() makes of neighbours is far apart */
	pg_prng_seed(&run->arriving, seed * 4096 + 4 * replication);
	pg_prng_seed(&run->holding, seed * 4096 + 4 * replication + 1);
	pg_prng_seed(&run->queues.opening, seed * 4096 + 4 * replication + 2);
	pg_prng_seed(&run->waiting, seed * 4096 + 4 * replication + 3);
}

static void
set_shape(Run *run, const PmBurstShape *shape)
{
	run->stream.shape = *shape;
	run->asking.callers = shape->callers;
	if (run->callers != NULL)
		pfree(run->callers);
	run->callers = NULL;
	run->queues.asks_again = shape->callers != NULL;
	if (shape->callers != NULL)
		run->callers = pm_callers_each(shape->callers, run->what);
}

static void
replicate(Run *run, const PmParts *parts, int replication)
{
	bool		whole = parts->step == 0;
	PmPart		part;

	seed_run(run, run->what->seed, replication);
	set_shape(run, &run->what->shapes[replication % run->what->nshapes]);
	memset(&run->totals, 0, sizeof(PmTotals));
	pm_backlog_begin(&run->backlog, parts->run_up);
	for (int i = 0; pm_parts_next(parts, run->what, replication, i, &part); i++)
	{
		if (!whole && run->callers == NULL)
			pm_backlog_before(&run->backlog, &part);
		replay_part(run, &part, !whole);
	}
}

/* ---- all of them ---- */

static Run *
begin_run(const PmSimulation *what)
{
	Run		   *run = palloc0(sizeof(Run));

	run->what = what;
	run->stream.what = run->asking.what = what;
	run->stream.random = run->asking.random = &run->arriving;
	pm_agenda_init(&run->agenda);
	pm_queues_init(&run->queues, what, &run->agenda, &run->totals);
	pm_backlog_init(&run->backlog, what, run->queues.ceiling);
	return run;
}

static void
end_run(Run *run)
{
	if (run->callers != NULL)
		pfree(run->callers);
	pm_backlog_free(&run->backlog);
	pm_queues_free(&run->queues);
	pm_agenda_free(&run->agenda);
	pfree(run);
}

/* Allocates in the current memory context, and frees it only without an error. */
void
pm_simulate(const PmSimulation *simulation, PmSimulated *simulated)
{
	Run		   *run = begin_run(simulation);
	int			n = simulation->replications;
	double		(*outcomes)[PM_NUM_OUTCOMES] = palloc(sizeof(*outcomes) * n);
	PmParts		parts;

	pm_parts_init(&parts, simulation);
	simulated->arrivals = 0;
	for (int i = 0; i < n; i++)
	{
		replicate(run, &parts, i);
		pm_totals_conclude(&run->totals, simulation->processes, parts.seconds, outcomes[i]);
		simulated->arrivals += run->totals.arrivals;
	}
	simulated->share = parts.seconds > 0 ? run->counted / (parts.seconds * n) : 0;
	for (int i = 0; i < PM_NUM_OUTCOMES; i++)
		simulated->of[i] = pm_estimate((const double (*)[PM_NUM_OUTCOMES]) outcomes, n, i);
	pfree(outcomes);
	end_run(run);
}
