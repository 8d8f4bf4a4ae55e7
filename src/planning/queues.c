/*
 * queues.c
 *		Processes and their pools as queues: what becomes of a checkout.
 *
 * Each process is a queue of its own, with a pool as SQLAlchemy's QueuePool is one: a
 * checkout takes a connection that is idle, else opens one up to pool_size + max_overflow,
 * else waits, first come first served, until one is given back or pool_timeout is over. What
 * is given back goes to who waits, else stays open up to pool_size, else is closed. Who opens
 * a connection has it for as long as that takes, too.
 */
#include "postgres.h"

#include "planning/queues.h"
#include "utils/memutils.h"

typedef struct Waiter
{
	double		since;
	double		hold;
} Waiter;

/* Who waits is in a ring. */
struct PmQueue
{
	int			idle;
	int			busy;
	int			first;
	int			waiting;
	int			room;
	Waiter	   *waiters;
	double		lag;
};

/* In the current memory context. */
void
pm_queues_init(PmQueues *queues, const PmSimulation *what, PmAgenda *agenda, PmTotals *totals)
{
	queues->what = what;
	queues->agenda = agenda;
	queues->totals = totals;
	queues->ticks.what = what;
	queues->ticks.totals = totals;
	queues->kept = what->pool_size == 0 ? PM_UNBOUNDED : what->pool_size;
	queues->ceiling = what->pool_size == 0 || what->max_overflow < 0 ? PM_UNBOUNDED : what->pool_size + what->max_overflow;
	queues->all = palloc0(sizeof(PmQueue) * what->processes);
}

/* At 0: base is open, and idle. */
void
pm_queues_begin(PmQueues *queues, int first, double from, double until)
{
	const PmSimulation *what = queues->what;

	for (int i = 0; i < what->processes; i++)
	{
		queues->all[i].idle = what->pool_size;
		queues->all[i].busy = queues->all[i].waiting = 0;
		queues->all[i].lag = 0;
	}
	queues->open = what->processes * what->pool_size;
	queues->busy = queues->full = queues->waiting = 0;
	queues->now = 0;
	queues->from = from;
	queues->until = until;
	pm_ticks_begin(&queues->ticks, first, from, Min(what->stretches[first].seconds, until - from));
}

/*
 * It has work for so long that does not stand in its queue: each waits so much longer, and gives
 * up so much sooner. The queue must be such that it never runs dry.
 */
void
pm_queues_lag(PmQueues *queues, int process, double lag)
{
	queues->all[process].lag = lag;
}

/* What has been the case until then. */
void
pm_queues_go_on(PmQueues *queues, double at)
{
	double		time = Min(at, queues->until) - Max(queues->now, queues->from);
	const PmSimulation *what = queues->what;
	PmTotals   *totals = queues->totals;

	queues->now = at;
	pm_ticks_go_on(&queues->ticks, at);
	if (time <= 0)
		return;
	time *= totals->weight;
	totals->time += time;
	totals->full += time * queues->full;
	totals->all_full += queues->full == what->processes ? time : 0;
	totals->overflow += what->pool_size > 0 && queues->open > (int64) what->processes * what->pool_size ? time : 0;
	totals->connections += time * queues->open;
	totals->busy += time * queues->busy;
}

static bool
counts(const PmQueues *queues, double at)
{
	return at >= queues->from && at < queues->until;
}

/* So many seconds after it came; gave_up: it got none. */
static void
settle_checkout(PmQueues *queues, double since, double wait, bool gave_up)
{
	if (counts(queues, since))
		pm_totals_count(queues->totals, wait, gave_up);
}

/* As the worker sees it. */
static void
begin_hold(PmQueues *queues)
{
	if (counts(queues, queues->now))
		pm_ticks_count(&queues->ticks);
}

/* ---- a checkout comes ---- */

static void
make_room(PmQueue *queue)
{
	int			room = Max(2 * queue->room, 16);
	Waiter	   *waiters = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Waiter) * room);

	for (int i = 0; i < queue->waiting; i++)
		waiters[i] = queue->waiters[(queue->first + i) % queue->room];
	if (queue->waiters != NULL)
		pfree(queue->waiters);
	queue->waiters = waiters;
	queue->room = room;
	queue->first = 0;
}

static void
wait_in(PmQueues *queues, int process, double hold)
{
	PmQueue    *queue = &queues->all[process];

	if (queue->waiting == queue->room)
		make_room(queue);
	queue->waiters[(queue->first + queue->waiting++) % queue->room] = (Waiter)
	{
		.since = queues->now,.hold = hold
	};
	queues->waiting++;
	if (queues->asks_again)
		pm_agenda_add(queues->agenda, queues->now + queues->what->pool_timeout, PM_GIVES_UP(process));
}

/* A connection is taken from what is idle, or was opened. */
static void
check_out(PmQueues *queues, int process, double hold)
{
	PmQueue    *queue = &queues->all[process];

	queue->busy++;
	queues->busy++;
	begin_hold(queues);
	queues->full += queue->busy == queues->ceiling;
	pm_agenda_add(queues->agenda, queues->now + hold, process);
	settle_checkout(queues, queues->now, queue->lag, false);
}

/* Now, in this process. */
void
pm_queues_arrive(PmQueues *queues, int process, double hold)
{
	const PmDurations *setups = queues->what->setups;
	PmQueue    *queue = &queues->all[process];

	if (queue->idle > 0)
	{
		queue->idle--;
		check_out(queues, process, hold);
	}
	else if (queue->busy < queues->ceiling)
	{
		if (setups->ranges.n > 0)
			hold += pm_duration(setups, &queues->opening);
		queues->open++;
		queues->totals->opened += counts(queues, queues->now) ? queues->totals->weight : 0;
		check_out(queues, process, hold);
	}
	else
		wait_in(queues, process, hold);
}

/* ---- a connection is given back ---- */

/* It leaves the queue, with a connection or without. */
static Waiter
leave(PmQueues *queues, PmQueue *queue, bool gave_up)
{
	Waiter		waiter = queue->waiters[queue->first];
	double		waited = queues->now - waiter.since + queue->lag;

	queue->first = (queue->first + 1) % queue->room;
	queue->waiting--;
	queues->waiting--;
	settle_checkout(queues, waiter.since, gave_up ? queues->what->pool_timeout : waited, gave_up);
	return waiter;
}

/* To whom it goes; false: nobody waits any more. Who asks again has left when he gave up. */
static bool
next_waiter(PmQueues *queues, PmQueue *queue, Waiter *next)
{
	while (queue->waiting > 0)
	{
		double		waited = queues->now - queue->waiters[queue->first].since + queue->lag;
		bool		gave_up = !queues->asks_again && waited > queues->what->pool_timeout;

		*next = leave(queues, queue, gave_up);
		if (!gave_up)
			return true;
	}
	return false;
}

/* Now, by this process. */
void
pm_queues_give_back(PmQueues *queues, int process)
{
	PmQueue    *queue = &queues->all[process];
	Waiter		next;

	if (next_waiter(queues, queue, &next))
	{
		begin_hold(queues);
		pm_agenda_add(queues->agenda, queues->now + next.hold, process);
		return;
	}
	queues->full -= queue->busy == queues->ceiling;
	queue->busy--;
	queues->busy--;
	if (queue->idle < queues->kept)
		queue->idle++;
	else
		queues->open--;
}

/* Who has waited for long enough now, in this process; returns how many. Nobody has work that is not in the queue. */
int
pm_queues_give_up(PmQueues *queues, int process)
{
	PmQueue    *queue = &queues->all[process];
	int			gave_up = 0;

	for (; queue->waiting > 0 && queue->waiters[queue->first].since + queues->what->pool_timeout <= queues->now; gave_up++)
		leave(queues, queue, true);
	return gave_up;
}

void
pm_queues_free(PmQueues *queues)
{
	for (int i = 0; i < queues->what->processes; i++)
	{
		if (queues->all[i].waiters != NULL)
			pfree(queues->all[i].waiters);
	}
	pfree(queues->all);
}
