/*
 * largest.c
 *		Which undeclared applications have a series of their own.
 *
 * There are PM_APPLICATION_SERIES of them, for the largest: an application is as large as
 * it has connections, and logins refused since the last tick, of which one is as good as
 * LEAST, and all as its peak at most. Each series keeps a weight: the most of this, fading
 * by half every HALF_LIFE. Whoever has none gets a place that is free, or that of one that
 * weighs less than it is large; what the former one did goes then. So small ones cannot wash
 * a large one out, however many there are, and none stays for good: a name that had all
 * slots once is as light as two connections two days later. Which one it takes is in
 * giveway.c. What an application did before it was followed is in "(undeclared)" alone.
 *
 * An application whose series is still there has it again with the next tick, however small
 * it is: after a restart, and when its account was given up meanwhile. Whatever its account
 * has that is not in the history by then goes there.
 *
 * All of this is the worker's; names change under the lock.
 */
#include "postgres.h"

#include <math.h>

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "history/giveway.h"
#include "history/rings.h"

#define HALF_LIFE	(INT64CONST(6) * 3600 * 1000000)	/* us */
#define LEAST		2			/* connections; one alone is no pool */

/* The largest application that has no series and gets one; one that had sessions before others. */
typedef struct Newcomer
{
	int			account;		/* -1: none */
	int			place;			/* its series */
	bool		admitted;		/* it had sessions */
	int			size;
	uint64		refused;		/* up to the last tick */
} Newcomer;

/* What is left of a weight after so many us. */
static double
faded(int64 elapsed)
{
	return exp2(-(double) elapsed / HALF_LIFE);
}

/* It has an account again, from which nothing was taken for anybody else: all is news. */
static void
attach(int s)
{
	PmSeries   *series = pm_series_at(s);
	int			account = pm_application_find(&series->application);

	if (account < 0)
		return;
	pm_accounts->all[account].series = s;
	series->account = account;
	series->primed = false;
}

/* Those whose account is somebody else's by now are followed no more; who has one again is. */
static void
look_after(int64 elapsed)
{
	double		share_kept = faded(elapsed);

	for (int s = pm_first_application_series(); s < pm_history_rings->nseries; s++)
	{
		PmSeries   *series = pm_series_at(s);

		series->weight *= share_kept;
		if (series->account >= 0 &&
			(!pm_account_ready(series->account) ||
			 !pm_owner_equal(&series->application, &pm_accounts->all[series->account].owner)))
		{
			series->account = -1;
			series->primed = false;
		}
		if (series->account < 0 && pm_series_used(series))
			attach(s);
	}
}

/* NULL: it has none, or no more. */
static PmSeries *
series_of_account(int account)
{
	int			s = pm_accounts->all[account].series;

	return s > 0 && pm_series_at(s)->account == account ? pm_series_at(s) : NULL;
}

/* How large it is now. For one without a series, refusals are noted as those in one are. */
static int
size_of(int account, bool followed)
{
	PmAccount  *a = &pm_accounts->all[account];
	uint64		peak = PM_PEAK_COUNT(pg_atomic_read_u64(&a->peak));
	uint64		kept[PM_NUM_KEPT];
	uint64		refused;

	pm_account_kept(account, kept);
	refused = kept[PM_KEPT_REFUSED] - a->in_history[PM_KEPT_REFUSED];
	if (!followed)
		a->in_history[PM_KEPT_REFUSED] = kept[PM_KEPT_REFUSED];

	/*
	 * One that was turned away is worth knowing, however few they were; but
	 * not larger for trying more often.
	 */
	if (refused > 0)
		refused = Max(Min(refused, peak), LEAST);
	return (int) pg_atomic_read_u32(&a->connections) + (int) refused;
}

static bool
larger(const Newcomer *a, const Newcomer *b)
{
	return a->admitted != b->admitted ? a->admitted : a->size > b->size;
}

/* A name that is empty is a name here, too. Caller holds the lock. */
static void
set_names(PmSeries *series, const PmOwner *owner)
{
	series->application = *owner;
	series->role = pm_owner_role_hash(owner);
	strlcpy(series->name, owner->name[0] != '\0' ? owner->name : " ", PM_NAME_LEN);
}

static void
set_owner(PmSeries *series, const PmOwner *owner)
{
	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	if (owner != NULL)
		set_names(series, owner);
	else
		memset(series->name, 0, PM_NAME_LEN);
	LWLockRelease(&pm_history_rings->lock);
}

/* What the former owner did goes. While that takes its time the place has no name. */
static void
take_place(int s, const PmOwner *owner)
{
	PmSeries   *series = pm_series_at(s);

	if (pm_series_used(series))
	{
		set_owner(series, NULL);
		pm_history_clear(s);
	}
	set_owner(series, owner);
}

/*
 * It is followed from now on. Of what was counted before, this tick's refusals are news;
 * its peak is not, which nobody has taken for as long as it was not followed.
 */
static void
follow(const Newcomer *newcomer)
{
	PmAccount  *account = &pm_accounts->all[newcomer->account];
	PmSeries   *series = pm_series_at(newcomer->place);
	int			peak_before;

	take_place(newcomer->place, &account->owner);
	account->series = newcomer->place;
	series->account = newcomer->account;
	series->primed = false;
	series->weight = newcomer->size;
	series->admitted = newcomer->admitted;
	pm_account_take_tick_peak(newcomer->account, &peak_before);
	pm_account_kept(newcomer->account, account->in_history);
	account->in_history[PM_KEPT_REFUSED] = newcomer->refused;
}

static bool
was_admitted(int account)
{
	return pm_account_sessions(account) > 0;
}

/* One that has a series. */
static void
weigh(int account, PmSeries *series)
{
	series->weight = Max(series->weight, size_of(account, true));
	series->admitted |= was_admitted(account);
}

/* It was not its turn, because of another one: at the next tick its refusals are still news. */
static void
wait_for_turn(const Newcomer *newcomer)
{
	if (newcomer->account >= 0)
		pm_accounts->all[newcomer->account].in_history[PM_KEPT_REFUSED] = newcomer->refused;
}

/* One that has none: the largest that there is a place for. Who finds none is in nobody's way. */
static void
look_at(int account, Newcomer *newcomer)
{
	uint64		refused = pm_accounts->all[account].in_history[PM_KEPT_REFUSED];
	Newcomer	this = {
		.account = account,
		.admitted = was_admitted(account),
		.size = size_of(account, false),
		.refused = refused,
	};

	if (this.size < LEAST)
		return;
	if (!larger(&this, newcomer))
	{
		wait_for_turn(&this);
		return;
	}
	this.place = pm_series_giving_way(&pm_accounts->all[account].owner, this.admitted, this.size);
	if (this.place >= 0)
	{
		wait_for_turn(newcomer);
		*newcomer = this;
	}
}

/*
 * Called at each tick, us after the last one; one newcomer at a time, when all others have
 * the weight that they have now. Takes the lock.
 */
void
pm_history_follow(int64 elapsed)
{
	Newcomer	newcomer = {.account = -1};

	look_after(elapsed);
	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		if (pm_account_ready(i) && series_of_account(i) != NULL)
			weigh(i, series_of_account(i));
	}
	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		if (pm_account_ready(i) && series_of_account(i) == NULL)
			look_at(i, &newcomer);
	}
	if (newcomer.account >= 0)
		follow(&newcomer);
}

/* ---- what is read from a file; the caller holds the lock ---- */

/* The application's series, -1 where all have another owner. */
int
pm_history_application(const PmOwner *owner)
{
	for (int s = pm_first_application_series(); s < pm_history_rings->nseries; s++)
	{
		PmSeries   *series = pm_series_at(s);

		if (pm_series_used(series) && pm_owner_equal(&series->application, owner))
			return s;
		if (pm_series_used(series))
			continue;
		set_names(series, owner);
		return s;
	}
	return -1;
}

/* So long ago (us) it had this. A restart must not make heavy again what has faded. */
void
pm_history_weigh(int s, const PmBucket *bucket, int64 age)
{
	PmSeries   *series = pm_series_at(s);

	if (s < pm_first_application_series())
		return;
	series->admitted |= bucket->connects > 0 || bucket->max_connections > 0;
	/* less than none: the clock was set back */
	series->weight = Max(series->weight, bucket->max_connections * faded(Max(age, 0)));
}
