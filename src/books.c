/*
 * books.c
 *		The accounts as a whole: reading one, beginning it anew, opening, closing
 *		and freeing places, and adding what an earlier run of the server counted.
 *
 * All of this is for processes with a PGPROC; what changes an account's marks is
 * under lock. Counting goes on meanwhile, see account.c.
 */
#include "postgres.h"

#include "account.h"
#include "clock.h"
#include "guc.h"
#include "shmem.h"
#include "utils/timestamp.h"

#define READ_TRIES		1000

/* ms; longer than anybody needs from finding an account to counting in it */
#define CLOSING_TIME	2000

/* places that one tick frees, because it holds the lock meanwhile */
#define FREED_AT_ONCE	64

#define ACCOUNT(i)	(&pm_shared->accounts[i])
#define KEY(i)		(&pm_shared->account_keys[i])

/* ---- reading ---- */

/*
 * How long connections have been open, in us, all together since the account
 * was opened; of two such readings the difference counts. False when sessions
 * came and went all the time while it was read.
 */
bool
pm_account_open_time(int account, int64 now, int64 *open_time, int *connections)
{
	PmAccount  *a = ACCOUNT(account);

	for (int tries = 0; tries < READ_TRIES; tries++)
	{
		uint64		done = pg_atomic_read_u64(&a->moves_done);

		pg_read_barrier();
		*connections = pg_atomic_read_u32(&a->connections);
		*open_time = (int64) pg_atomic_read_u64(&a->open_time) + *connections * now;
		pg_read_barrier();
		if (pg_atomic_read_u64(&a->moves_begun) == done)
			return true;
	}
	return false;
}

/* Most connections since the last call; at least those of now. */
void
pm_account_take_tick_peak(int account, int *peak)
{
	PmAccount  *a = ACCOUNT(account);

	*peak = pg_atomic_exchange_u32(&a->tick_peak, 0);
	pm_account_raise_tick_peak(a, pg_atomic_read_u32(&a->connections));
	*peak = Max(*peak, (int) pg_atomic_read_u32(&a->connections));
}

/* A counter that the history keeps, since the server started and before. */
uint64
pm_account_kept(int account, PmKept which)
{
	pg_atomic_uint64 *counters = ACCOUNT(account)->counters;
	uint64		ends = 0;

	switch (which)
	{
		case PM_KEPT_CONNECTS:
			return pg_atomic_read_u64(&counters[PM_CONNECTS]);
		case PM_KEPT_REFUSED:
			return pg_atomic_read_u64(&counters[PM_REFUSED]);
		case PM_KEPT_RETIRED:
			return pg_atomic_read_u64(&counters[PM_RETIRED]);
		case PM_KEPT_TRANSACTIONS:
			return pg_atomic_read_u64(&counters[PM_TRANSACTIONS]);
		default:
			for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
				ends += pg_atomic_read_u64(&counters[i]);
			return ends;
	}
}

/* False when the account is free. Without lock only in the last process. */
bool
pm_account_figures(int account, PmFigures *figures, bool lock)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		peak;

	if (!pm_account_ready(account))
		return false;
	pg_read_barrier();
	if (lock)
		LWLockAcquire(pm_shared->lock, LW_SHARED);
	strlcpy(figures->name, a->name, PM_NAME_LEN);
	for (int i = 0; i < PM_NUM_KEPT; i++)
		figures->not_in_history[i] = pm_account_kept(account, i) - a->in_history[i];

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		figures->counters[i] = pg_atomic_read_u64(&a->counters[i]) - a->base[i];
	for (int i = 0; i < PM_MOST_REASONS; i++)
		figures->declines[i] = pg_atomic_read_u64(&a->declines[i]) - a->base_declines[i];
	figures->busy = (int64) pg_atomic_read_u64(&a->busy) - a->base_busy;
	figures->observed = a->observed_before + pm_monotonic_us() - a->observed_since;
	figures->stats_reset = a->stats_reset;
	if (lock)
		LWLockRelease(pm_shared->lock);

	figures->connections = pg_atomic_read_u32(&a->connections);
	peak = pg_atomic_read_u64(&a->peak);
	figures->peak = PM_PEAK_COUNT(peak);
	figures->peak_at = pm_peak_at(peak);
	figures->lifetime_max = pg_atomic_read_u64(&a->lifetime_max);
	figures->hold_max = pg_atomic_read_u64(&a->hold_max);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		figures->lifetimes[i] = pg_atomic_read_u64(&a->lifetimes[i]);
		figures->holds[i] = pg_atomic_read_u64(&a->holds[i]);
	}
	return true;
}

/* ---- opening, resetting, closing ---- */

/*
 * The account of the pool with this name, opened if there is none yet; (other)
 * when there is no free place, which needs all declarations to be changed twice
 * within CLOSING_TIME, or max_pools to have been lowered: then the worker gives
 * it one later.
 */
int
pm_account_for_pool(const char *name)
{
	uint32		hash = pm_account_hash(name);
	int			place = -1;

	for (int i = 0; i < pm_first_application(); i++)
	{
		PmAccountState state = pg_atomic_read_u32(&KEY(i)->state);

		if (state == PM_ACCOUNT_READY && KEY(i)->hash == hash && strcmp(ACCOUNT(i)->name, name) == 0)
			return i;
		if (state == PM_ACCOUNT_FREE && place < 0)
			place = i;
	}
	if (place < 0)
		return pm_other_account();
	pm_account_open(place, name);
	return place;
}

static uint64
raw(PmAccount *account, PmCounter counter)
{
	return pg_atomic_read_u64(&account->counters[counter]);
}

/*
 * Begins the account anew. Its counters go on; what they were is subtracted
 * from now on. Sessions that are there count as taken over, so that connects
 * less disconnects is still what is there. open_busy is how long its open
 * transactions have been open, in us: their time before this does not count.
 */
void
pm_account_reset(int account, int64 open_busy, int64 now)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		there;

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		a->base[i] = raw(a, i);
	for (int i = 0; i < PM_MOST_REASONS; i++)
		a->base_declines[i] = pg_atomic_read_u64(&a->declines[i]);
	there = a->base[PM_CONNECTS] + a->base[PM_TAKEN_OVER] - a->base[PM_GIVEN_OVER];
	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		there -= a->base[i];
	a->base[PM_TAKEN_OVER] -= there;
	a->base_busy = (int64) pg_atomic_read_u64(&a->busy) + open_busy;
	a->observed_before = 0;
	a->observed_since = now;
	a->stats_reset = GetCurrentTimestamp();

	pg_atomic_fetch_add_u32(&pm_shared->resets, 1);
	pg_atomic_write_u64(&a->lifetime_max, 0);
	pg_atomic_write_u64(&a->hold_max, 0);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		pg_atomic_write_u64(&a->lifetimes[i], 0);
		pg_atomic_write_u64(&a->holds[i], 0);
	}
	pg_atomic_write_u64(&a->peak, 0);
	pm_account_raise_peak(a, pg_atomic_read_u32(&a->connections), a->stats_reset);
}

/* Begins to close an account; false when it has sessions. */
bool
pm_account_close(int account, int64 now_ms)
{
	pg_atomic_write_u32(&KEY(account)->state, PM_ACCOUNT_CLOSING);
	pg_memory_barrier();
	if (pg_atomic_read_u32(&ACCOUNT(account)->connections) > 0)
	{
		pg_atomic_write_u32(&KEY(account)->state, PM_ACCOUNT_READY);
		return false;
	}
	ACCOUNT(account)->closed_at = now_ms;
	return true;
}

/*
 * Frees what has been closed for long enough, and a place whose claimer has died
 * (a process that is refused may be ended by a signal at any moment).
 */
static void
free_closed(int64 now_ms)
{
	int			freed = 0;

	for (int i = 0; i < pm_other_account() && freed < FREED_AT_ONCE; i++)
	{
		PmAccountState state = pg_atomic_read_u32(&KEY(i)->state);
		int64	   *since = &ACCOUNT(i)->closed_at;
		uint32		expected;

		if (state == PM_ACCOUNT_CLAIMED && *since == 0)
			*since = now_ms;
		if ((state != PM_ACCOUNT_CLOSING && state != PM_ACCOUNT_CLAIMED) || now_ms - *since < CLOSING_TIME)
			continue;
		expected = state;
		if (!pg_atomic_compare_exchange_u32(&KEY(i)->state, &expected, PM_ACCOUNT_CLAIMED))
			continue;
		freed++;
		pm_account_init(ACCOUNT(i));
		pg_write_barrier();
		pg_atomic_write_u32(&KEY(i)->state, PM_ACCOUNT_FREE);
	}
}

static bool
in_force(int account)
{
	const PmRuleSet *set = pm_rules_in_force();

	for (int i = 0; i < set->npools; i++)
	{
		if (set->accounts[i] == account)
			return true;
	}
	return false;
}

/*
 * Keeps max_pools places free for pools that are declared next: of the accounts
 * of pools that are declared no more, those that were dropped first are closed.
 */
static void
close_dropped(int64 now_ms)
{
	static uint64 generation = 0;	/* all is well with these declarations */
	int			nfree = 0;
	int			oldest = -1;

	/* before the first load nobody knows who is dropped */
	if (generation == pg_atomic_read_u64(&pm_shared->generation) ||
		!OidIsValid(pm_shared->load_database))
		return;

	for (int i = 0; i < pm_first_application(); i++)
	{
		PmAccount  *account = ACCOUNT(i);

		if (!pm_account_ready(i))
		{
			nfree++;			/* or will be */
			continue;
		}
		if (in_force(i))
			account->dropped_at = 0;
		else if (account->dropped_at == 0)
			account->dropped_at = now_ms;
		if (account->dropped_at != 0 &&
			(oldest < 0 || account->dropped_at < ACCOUNT(oldest)->dropped_at))
			oldest = i;
	}
	if (nfree < pm_max_pools && oldest >= 0)
		(void) pm_account_close(oldest, now_ms);
	else
		generation = pg_atomic_read_u64(&pm_shared->generation);
}

/* A pool that found no free place when it was declared gets one now. */
static void
place_pools(void)
{
	PmRuleSet  *set = pm_rules_in_force();

	for (int i = 0; i < set->npools; i++)
	{
		if (set->accounts[i] != pm_other_account())
			continue;
		set->accounts[i] = pm_account_for_pool(set->pools[i].name);
		if (set->accounts[i] != pm_other_account())
			pg_atomic_fetch_add_u64(&pm_shared->generation, 1);
	}
}

/* Called by the worker at each tick; one dropped pool at a time. */
void
pm_accounts_tidy(int64 now_ms)
{
	free_closed(now_ms);
	close_dropped(now_ms);
	place_pools();
}

static void
kept_of(const PmFigures *figures, uint64 *kept)
{
	kept[PM_KEPT_CONNECTS] = figures->counters[PM_CONNECTS];
	kept[PM_KEPT_REFUSED] = figures->counters[PM_REFUSED];
	kept[PM_KEPT_RETIRED] = figures->counters[PM_RETIRED];
	kept[PM_KEPT_TRANSACTIONS] = figures->counters[PM_TRANSACTIONS];
	kept[PM_KEPT_ENDS] = 0;
	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		kept[PM_KEPT_ENDS] += figures->counters[i];
}

/*
 * Adds what an earlier run of the server has counted. Sessions that were there
 * when it was written are gone: how they ended is not known. Returns how many.
 */
int
pm_account_merge(int account, const PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		before[PM_NUM_KEPT];
	int64		lost = figures->counters[PM_CONNECTS] + figures->counters[PM_TAKEN_OVER] -
	figures->counters[PM_GIVEN_OVER];

	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		lost -= figures->counters[i];
	kept_of(figures, before);
	for (int i = 0; i < PM_NUM_KEPT; i++)
		a->in_history[i] += before[i] - figures->not_in_history[i];
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
		pg_atomic_fetch_add_u64(&a->counters[i], figures->counters[i]);
	pg_atomic_fetch_add_u64(&a->counters[PM_ENDED_LOST], lost);
	for (int i = 0; i < PM_MOST_REASONS; i++)
		pg_atomic_fetch_add_u64(&a->declines[i], figures->declines[i]);
	pg_atomic_fetch_add_u64(&a->busy, figures->busy);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		pg_atomic_fetch_add_u64(&a->lifetimes[i], figures->lifetimes[i]);
		pg_atomic_fetch_add_u64(&a->holds[i], figures->holds[i]);
	}
	pm_account_raise(&a->lifetime_max, figures->lifetime_max);
	pm_account_raise(&a->hold_max, figures->hold_max);
	pm_account_raise_peak(a, figures->peak, figures->peak_at);
	a->observed_before += figures->observed;
	a->stats_reset = Min(a->stats_reset, figures->stats_reset);
	return (int) lost;
}
