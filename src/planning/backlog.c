/*
 * backlog.c
 *		Who waits already where a part of a simulation begins.
 *
 * A part begins where the stretches before it, which are not replayed, have left the pool. What
 * is known of them without a replay is the queue as a fluid: the wait of who comes next grows by
 * what comes in above what can be served (G. F. Newell, "Applications of Queueing Theory", 1971),
 * and is never above pool_timeout, as who would wait longer gives up and is no work.
 */
#include "postgres.h"

#include <math.h>

#include "planning/backlog.h"
#include "planning/queues.h"
#include "planning/uneven.h"

/* ---- who is alike ---- */

static bool
are_alike(double one, double other)
{
	return fabs(one - other) <= 1e-6 * one;
}

/* In the current memory context. */
void
pm_backlog_init(PmBacklog *backlog, const PmSimulation *what, int ceiling)
{
	double	   *shares;

	memset(backlog, 0, sizeof(PmBacklog));
	backlog->what = what;
	if (ceiling == PM_UNBOUNDED)
		return;
	shares = pm_shares_each(what->shares, what->processes);
	backlog->all = palloc(sizeof(PmBehind) * what->processes);
	for (int i = 0; i < what->processes; i++)
	{
		if (i == 0 || !are_alike(shares[i], shares[i - 1]))
			backlog->all[backlog->n++] = (PmBehind)
		{
			.first = i,.load = shares[i] * what->holds->mean / ceiling
		};
		backlog->all[backlog->n - 1].end = i + 1;
	}
	pfree(shares);
}

void
pm_backlog_free(PmBacklog *backlog)
{
	if (backlog->all != NULL)
		pfree(backlog->all);
}

/* ---- through the stretches ---- */

static void
go_on(PmBacklog *backlog, double seconds)
{
	double		rate = backlog->what->stretches[backlog->stretch].rate;

	for (int i = 0; i < backlog->n; i++)
	{
		PmBehind   *behind = &backlog->all[i];
		double		wait = behind->wait + (rate * behind->load - 1) * seconds;

		behind->wait = Min(Max(wait, 0), backlog->what->pool_timeout);
	}
}

/* At the begin of the first stretch, after such a run-up at its rate. */
void
pm_backlog_begin(PmBacklog *backlog, double run_up)
{
	backlog->stretch = 0;
	backlog->into = 0;
	for (int i = 0; i < backlog->n; i++)
		backlog->all[i].wait = 0;
	go_on(backlog, run_up);
}

static void
go_to(PmBacklog *backlog, int stretch, double into)
{
	while (backlog->stretch < stretch)
	{
		go_on(backlog, backlog->what->stretches[backlog->stretch].seconds - backlog->into);
		backlog->stretch++;
		backlog->into = 0;
	}
	go_on(backlog, into - backlog->into);
	backlog->into = into;
}

/* ---- at the begin of a part ---- */

/*
 * A run-up is at the rate of the part, and must lead to the wait where that begins. So it is not
 * longer than this rate can have been there; but never nothing.
 */
static double
run_up_of(const PmBacklog *backlog, const PmPart *part)
{
	double		rate = backlog->what->stretches[part->first].rate;
	double		timeout = backlog->what->pool_timeout;
	double		least = Min(part->run_up, backlog->what->holds->mean);
	double		run_up = part->run_up;

	for (int i = 0; i < backlog->n; i++)
	{
		double		wait = backlog->all[i].wait;
		double		growth = rate * backlog->all[i].load - 1;

		if (growth > 0 && wait < timeout)
			run_up = Min(run_up, Max(wait / growth, least));
		else if (growth < 0 && wait > 0)
			run_up = Min(run_up, Max((timeout - wait) / -growth, least));
	}
	return run_up;
}

/* Gets the waits before the part's run-up, which may become shorter. Parts in order. */
void
pm_backlog_before(PmBacklog *backlog, PmPart *part)
{
	double		rate = backlog->what->stretches[part->first].rate;
	double		timeout = backlog->what->pool_timeout;

	go_to(backlog, part->first, part->into);
	part->run_up = run_up_of(backlog, part);
	for (int i = 0; i < backlog->n; i++)
	{
		PmBehind   *behind = &backlog->all[i];
		double		before = behind->wait - (rate * behind->load - 1) * part->run_up;
		bool		stays = behind->wait == 0 || behind->wait == timeout;

		behind->before = stays ? behind->wait : Min(Max(before, 0), timeout);
	}
}
