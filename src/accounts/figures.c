/*
 * figures.c
 *		The accounts as a whole: reading one, beginning it anew, and adding what
 *		was counted elsewhere.
 *
 * All of this is for processes with a PGPROC; what changes an account's marks is
 * under lock. Counting goes on meanwhile, see account.c.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "utils/timestamp.h"

#define READ_TRIES		1000

#define ACCOUNT(i)	(&pm_accounts->all[i])

static uint64
raw(PmAccount *account, PmCounter counter)
{
	return pg_atomic_read_u64(&account->counters[counter]);
}

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

/* What the history keeps, since the server started and before. */
void
pm_account_kept(int account, uint64 *kept)
{
	uint64		counters[PM_NUM_COUNTERS];

	for (int i = 0; i < PM_NUM_COUNTERS; i++)
		counters[i] = raw(ACCOUNT(account), i);
	pm_kept_all(counters, kept);
}

/*
 * That it has had since it got its place; in earlier runs of the server, since reset(). If
 * none, anybody may have made up its name.
 */
uint64
pm_account_sessions(int account)
{
	return raw(ACCOUNT(account), PM_CONNECTS) + raw(ACCOUNT(account), PM_TAKEN_OVER);
}

/* As an event of its own: not what was added from elsewhere. For the worker. */
uint64
pm_account_counted(int account, PmCounter which)
{
	return pg_atomic_read_u64(&ACCOUNT(account)->counters[which]) - ACCOUNT(account)->merged[which];
}

/*
 * Since reset(). What is to be subtracted is read first: never less than nothing, also while
 * reset() or another owner of the place begins the account anew.
 */
uint64
pm_account_since_reset(int account, PmCounter counter)
{
	uint64		base = ACCOUNT(account)->base[counter];

	pg_read_barrier();
	return Max((int64) (raw(ACCOUNT(account), counter) - base), 0);
}

/* By the clock of now; 0: never. */
static TimestampTz
used_at(uint64 ms)
{
	return ms == 0 ? 0 : GetCurrentTimestamp() - (pm_monotonic_us() - (int64) ms * 1000);
}

/* Caller holds lock, if there is anybody else: then no account is given up. */
void
pm_account_read(int account, PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		peak;

	figures->owner = a->owner;
	pm_account_kept(account, figures->not_in_history);
	for (int i = 0; i < PM_NUM_KEPT; i++)
		figures->not_in_history[i] -= a->in_history[i];

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		figures->counters[i] = pm_account_since_reset(account, i);
	for (int i = 0; i < PM_NUM_REASONS; i++)
		figures->declines[i] = pg_atomic_read_u64(&a->declines[i]) - a->base_declines[i];
	figures->busy = (int64) pg_atomic_read_u64(&a->busy) - a->base_busy;
	figures->observed = a->observed_before + pm_monotonic_us() - a->observed_since;
	figures->stats_reset = a->stats_reset;
	figures->sizes = a->sizes;
	figures->last_used = used_at(pg_atomic_read_u64(&a->last_used));
	figures->connections = pg_atomic_read_u32(&a->connections);
	peak = pg_atomic_read_u64(&a->peak);
	figures->peak = PM_PEAK_COUNT(peak);
	figures->peak_at = pm_peak_at(peak);
	figures->lifetime_max = pg_atomic_read_u64(&a->lifetime_max);
	figures->hold_max = pg_atomic_read_u64(&a->hold_max);
	figures->setup_max = pg_atomic_read_u64(&a->setup_max);
	pm_account_read_times(account, PM_LIFETIMES, figures->lifetimes);
	pm_account_read_times(account, PM_HOLDS, figures->holds);
	pm_account_read_times(account, PM_SETUPS, figures->setups);
}

/* False when the account is free. Without lock only in the last process. */
bool
pm_account_figures(int account, PmFigures *figures, bool lock)
{
	bool		ready = pm_account_ready(account);

	if (!ready)
		return false;
	if (lock)
		LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	ready = pm_account_ready(account);
	pg_read_barrier();
	if (ready)
		pm_account_read(account, figures);
	if (lock)
		LWLockRelease(&pm_accounts->lock.lock);
	return ready;
}

/*
 * Begins the account anew. Its counters go on; what they were is subtracted
 * from now on. Sessions that are there count as taken over, so that connects
 * less disconnects is still what is there. open_busy is how long its open
 * transactions have been open, in us: their time before this does not count. What clients
 * have reported before and the history does not have yet, it does not get any more.
 */
void
pm_account_reset(int account, int64 open_busy, int64 now)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		kept[PM_NUM_KEPT];

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		a->base[i] = raw(a, i);
	pm_kept_all(a->base, kept);
	for (int i = 0; i < PM_NUM_KEPT; i++)
	{
		if (pm_is_reported(i))
			a->in_history[i] = kept[i];
	}
	for (int i = 0; i < PM_NUM_REASONS; i++)
		a->base_declines[i] = pg_atomic_read_u64(&a->declines[i]);
	a->base[PM_TAKEN_OVER] -= pm_still_there(a->base);
	a->base_busy = (int64) pg_atomic_read_u64(&a->busy) + open_busy;
	a->observed_before = 0;
	a->observed_since = now;
	a->stats_reset = GetCurrentTimestamp();

	pg_atomic_fetch_add_u32(&pm_accounts->resets, 1);
	pg_atomic_write_u64(&a->lifetime_max, 0);
	pg_atomic_write_u64(&a->hold_max, 0);
	pg_atomic_write_u64(&a->setup_max, 0);
	pm_account_clear_times(account);
	pg_atomic_write_u64(&a->peak, 0);
	pm_account_raise_peak(a, pg_atomic_read_u32(&a->connections), a->stats_reset);
}

/*
 * Adds what another account had counted. Its peak is one of this account too:
 * so many of those that are counted together were there at once. Caller holds lock
 * exclusively.
 */
void
pm_account_add_figures(int account, const PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);

	for (int i = 0; i < PM_NUM_KEPT; i++)
		a->in_history[i] += pm_kept(figures->counters, i) - figures->not_in_history[i];
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
	{
		a->merged[i] += pm_add_within_bounds(&a->counters[i], figures->counters[i]);
	}
	for (int i = 0; i < PM_NUM_REASONS; i++)
		pg_atomic_fetch_add_u64(&a->declines[i], figures->declines[i]);
	pg_atomic_fetch_add_u64(&a->busy, figures->busy);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		if (figures->lifetimes[i] != 0)
			pm_account_add_time(account, PM_LIFETIMES, i, figures->lifetimes[i]);
		if (figures->holds[i] != 0)
			pm_account_add_time(account, PM_HOLDS, i, figures->holds[i]);
		if (figures->setups[i] != 0)
			pm_account_add_time(account, PM_SETUPS, i, figures->setups[i]);
	}
	pm_account_raise(&a->lifetime_max, figures->lifetime_max);
	pm_account_raise(&a->hold_max, figures->hold_max);
	pm_account_raise(&a->setup_max, figures->setup_max);
	pm_account_raise_peak(a, figures->peak, figures->peak_at);
	a->stats_reset = Min(a->stats_reset, figures->stats_reset);
}

/*
 * Adds what an earlier run of the server has counted. Sessions that were there
 * when it was written are gone: how they ended is not known. Returns how many.
 */
int
pm_account_merge(int account, const PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);
	int64		lost = pm_still_there(figures->counters);

	pm_account_add_figures(account, figures);
	pm_sizes_merge(&a->sizes, &figures->sizes);
	a->merged[PM_ENDED_LOST] += lost;
	pg_atomic_fetch_add_u64(&a->counters[PM_ENDED_LOST], lost);
	/* several can come into one, that were watched at the same time */
	a->observed_before = Max(a->observed_before, figures->observed);
	return (int) lost;
}

/* Allocates in the current memory context. */
void
pm_open_init(PmOpen *open)
{
	open->busy = palloc0(sizeof(int64) * pm_num_accounts());
}

void
pm_open_note(PmOpen *open, int account, int64 us)
{
	open->busy[account] += us;
	open->busy[pm_server_account()] += us;
	if (account >= pm_first_application())
		open->busy[pm_undeclared_account()] += us;
}
