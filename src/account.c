/*
 * account.c
 *		Counting, for each pool and application.
 *
 * What runs in a connecting, an ending or a refused process takes no lock and
 * waits for nobody. It finds its account in two steps.
 *
 * The declarations are matched in place. There are two sets of them; changed
 * ones are written into the set that is not in force, and then rules_version
 * moves on by one, which puts that set in force. A match counts only if the
 * version is still the same: else the set may be about to be overwritten again.
 * What is read then may be of two declarations at once, but it is bounded: every
 * string ends in a zero that is never overwritten. Should the version move
 * MATCH_TRIES times meanwhile, the session goes to "(other)" for the moment; the
 * worker moves it at its next tick.
 *
 * Applications are entered by who sees them first, in the lowest free place, by
 * compare-and-exchange; who meets a CLAIMED place waits for its name, which
 * takes some instructions, but not for ever. Where that fails, or all places
 * are taken, it is "(other)". Logins that were not admitted may take half of the
 * places only: anybody who can reach the server can make up names. (A name can
 * get two places when a lower one becomes free between two who enter it at the
 * same moment: then it has two rows until a reset().)
 */
#include "postgres.h"

#include "account.h"
#include "clock.h"
#include "common/hashfn.h"
#include "guc.h"
#include "shmem.h"
#include "storage/s_lock.h"
#include "utils/timestamp.h"

#define MATCH_TRIES		100
#define INSERT_TRIES	10
#define CLAIM_SPINS		1000	/* for the name of a claimed place */
#define READ_TRIES		1000

/* ms; longer than anybody needs from finding an account to counting in it */
#define CLOSING_TIME	2000

/* places that one tick frees, because it holds the lock meanwhile */
#define FREED_AT_ONCE	64

#define ACCOUNT(i)	(&pm_shared->accounts[i])
#define KEY(i)		(&pm_shared->account_keys[i])

/* ---- layout ---- */

/* As many again as max_pools: those no longer declared keep theirs for a while. */
int
pm_first_application(void)
{
	return 2 * pm_max_pools;
}

int
pm_other_account(void)
{
	return pm_first_application() + pm_max_applications;
}

int
pm_undeclared_account(void)
{
	return pm_other_account() + 1;
}

int
pm_server_account(void)
{
	return pm_other_account() + 2;
}

int
pm_num_accounts(void)
{
	return pm_other_account() + 3;
}

bool
pm_account_is_application(int account)
{
	return account >= pm_first_application() && account < pm_other_account();
}

bool
pm_account_ready(int account)
{
	return pg_atomic_read_u32(&KEY(account)->state) == PM_ACCOUNT_READY;
}

static bool
is_undeclared(int account)
{
	return account >= pm_first_application() && account <= pm_other_account();
}

Size
pm_accounts_size(void)
{
	return add_size(MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccountKey))),
					MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccount))));
}

/* Empties an account that nobody can find. */
static void
init_account(PmAccount *account)
{
	uint32		incarnation = account->incarnation;

	memset(account, 0, sizeof(*account));
	account->incarnation = incarnation;
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
		pg_atomic_init_u64(&account->counters[i], 0);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		pg_atomic_init_u64(&account->lifetimes[i], 0);
		pg_atomic_init_u64(&account->holds[i], 0);
	}
	pg_atomic_init_u64(&account->busy, 0);
	pg_atomic_init_u64(&account->lifetime_max, 0);
	pg_atomic_init_u64(&account->hold_max, 0);
	pg_atomic_init_u64(&account->moves_begun, 0);
	pg_atomic_init_u64(&account->moves_done, 0);
	pg_atomic_init_u32(&account->connections, 0);
	pg_atomic_init_u64(&account->open_time, 0);
	pg_atomic_init_u64(&account->peak, 0);
	pg_atomic_init_u32(&account->tick_peak, 0);
}

static uint32
hash_of(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

/* Opens an empty account under its name. */
static void
open_account(int i, const char *name)
{
	PmAccount  *account = ACCOUNT(i);

	strlcpy(account->name, name, PM_NAME_LEN);
	account->incarnation++;
	account->stats_reset = GetCurrentTimestamp();
	account->observed_since = pm_monotonic_us();
	KEY(i)->hash = hash_of(account->name);
	pg_write_barrier();
	pg_atomic_write_u32(&KEY(i)->state, PM_ACCOUNT_READY);
}

/* In the postmaster, before anybody else is there; pm_shared is set. */
void
pm_accounts_init(void *memory)
{
	pm_shared->account_keys = memory;
	pm_shared->accounts = (PmAccount *) ((char *) memory + MAXALIGN(pm_num_accounts() * sizeof(PmAccountKey)));
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		pg_atomic_init_u32(&KEY(i)->state, PM_ACCOUNT_FREE);
		init_account(ACCOUNT(i));
	}
	open_account(pm_other_account(), "(other)");
	open_account(pm_undeclared_account(), "(undeclared)");
	open_account(pm_server_account(), "(server)");
}

/* ---- finding an account ---- */

/* Waits a moment for the name of a place that somebody is taking. */
static PmAccountState
settled_state(int i)
{
	uint32		state = pg_atomic_read_u32(&KEY(i)->state);

	for (int spin = 0; state == PM_ACCOUNT_CLAIMED && spin < CLAIM_SPINS; spin++)
	{
		SPIN_DELAY();
		state = pg_atomic_read_u32(&KEY(i)->state);
	}
	return state;
}

/* An account that is being closed is its application's again. */
static bool
reopen(int i)
{
	uint32		expected = PM_ACCOUNT_CLOSING;

	return pg_atomic_compare_exchange_u32(&KEY(i)->state, &expected, PM_ACCOUNT_READY) ||
		expected == PM_ACCOUNT_READY;
}

/*
 * The application's place; -1 when it has none: then the lowest free one, if
 * any, how many there are, and whether more are being closed. (other) when it
 * cannot be told.
 */
static int
find_application(const char *name, uint32 hash, int *free, int *nfree, bool *soon_free)
{
	bool		unsettled = false;

	*free = -1;
	*nfree = 0;
	*soon_free = false;
	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		PmAccountState state = settled_state(i);

		unsettled |= state == PM_ACCOUNT_CLAIMED;
		if (state == PM_ACCOUNT_CLOSING)
			*soon_free = true;
		if (state == PM_ACCOUNT_FREE)
		{
			(*nfree)++;
			if (*free < 0)
				*free = i;
		}
		if (state != PM_ACCOUNT_READY && state != PM_ACCOUNT_CLOSING)
			continue;
		pg_read_barrier();
		if (KEY(i)->hash == hash && strcmp(ACCOUNT(i)->name, name) == 0 &&
			(state == PM_ACCOUNT_READY || reopen(i)))
			return i;
	}
	return unsettled ? pm_other_account() : -1;
}

/*
 * The account of a discovered application, entered now if it is new. Those that
 * are not admitted leave half of the places free.
 */
int
pm_application_account(const char *name, bool admitted)
{
	uint32		hash = hash_of(name);

	for (int tries = 0; tries < INSERT_TRIES; tries++)
	{
		int			free;
		int			nfree;
		bool		soon_free;
		int			found = find_application(name, hash, &free, &nfree, &soon_free);
		uint32		expected = PM_ACCOUNT_FREE;

		if (found >= 0)
			return found;
		if (free < 0 && !soon_free)
			pg_atomic_write_u32(&pm_shared->no_place, 1);
		if (free < 0 || (!admitted && nfree <= pm_max_applications / 2))
			break;
		if (pg_atomic_compare_exchange_u32(&KEY(free)->state, &expected, PM_ACCOUNT_CLAIMED))
		{
			open_account(free, name);
			return free;
		}
	}
	return pm_other_account();
}

/* False when the declarations were changed under it. */
static bool
match_in_place(const PmIdentity *who, int *account, bool *echo)
{
	uint32		version = pg_atomic_read_u32(&pm_shared->rules_version);
	const PmRuleSet *set = &pm_shared->rule_sets[version % 2];
	int			pool;

	pg_read_barrier();
	pool = pm_match(set->pools, Min(set->npools, pm_max_pools), who);
	*account = pool >= 0 ? set->accounts[pool] : -1;
	*echo = pool >= 0 && set->pools[pool].echo;
	pg_read_barrier();
	return pg_atomic_read_u32(&pm_shared->rules_version) == version;
}

/*
 * The account of whoever logs in under these names, admitted or not, and whether
 * its pool wants its comings and goings logged.
 */
int
pm_account_of(const PmIdentity *who, bool admitted, bool *echo)
{
	int			account;

	for (int tries = 0; tries < MATCH_TRIES; tries++)
	{
		if (match_in_place(who, &account, echo))
			return account >= 0 ? account : pm_application_account(who->application_name, admitted);
	}
	*echo = false;
	return pm_other_account();
}

/* ---- counting ---- */

/* An account and the sums above it. */
static int
with_sums(int account, int *accounts)
{
	int			n = 0;

	accounts[n++] = account;
	if (is_undeclared(account))
		accounts[n++] = pm_undeclared_account();
	accounts[n++] = pm_server_account();
	return n;
}

void
pm_account_add(int account, PmCounter counter, int64 n)
{
	int			accounts[3];
	int			naccounts = with_sums(account, accounts);

	for (int i = 0; i < naccounts; i++)
		pg_atomic_fetch_add_u64(&ACCOUNT(accounts[i])->counters[counter], n);
}

void
pm_account_add_busy(int account, int64 us)
{
	int			accounts[3];
	int			naccounts = with_sums(account, accounts);

	for (int i = 0; i < naccounts; i++)
		pg_atomic_fetch_add_u64(&ACCOUNT(accounts[i])->busy, us);
}

void
pm_account_raise(pg_atomic_uint64 *max, uint64 value)
{
	uint64		old = pg_atomic_read_u64(max);

	while (value > old && !pg_atomic_compare_exchange_u64(max, &old, value))
		;
}

/* In ms, to have room for the count. */
uint64
pm_peak_word(int count, TimestampTz at)
{
	return ((uint64) Max(at / 1000, 0) << PM_PEAK_BITS) | (uint64) count;
}

/* To the ms; 0: no peak. */
TimestampTz
pm_peak_at(uint64 word)
{
	return (TimestampTz) (word >> PM_PEAK_BITS) * 1000;
}

static void
raise_peak(PmAccount *account, int connections, TimestampTz at)
{
	uint64		old = pg_atomic_read_u64(&account->peak);

	while (connections > PM_PEAK_COUNT(old) &&
		   !pg_atomic_compare_exchange_u64(&account->peak, &old,
										   pm_peak_word(connections, at != 0 ? at : GetCurrentTimestamp())))
		;
}

static void
raise_tick_peak(PmAccount *account, uint32 connections)
{
	uint32		old = pg_atomic_read_u32(&account->tick_peak);

	while (connections > old &&
		   !pg_atomic_compare_exchange_u32(&account->tick_peak, &old, connections))
		;
}

static void
enter(int i, int64 now)
{
	PmAccount  *account = ACCOUNT(i);
	uint32		connections;

	pg_atomic_fetch_add_u64(&account->moves_begun, 1);
	connections = pg_atomic_add_fetch_u32(&account->connections, 1);
	pg_atomic_fetch_sub_u64(&account->open_time, now);
	pg_atomic_fetch_add_u64(&account->moves_done, 1);
	raise_peak(account, connections, 0);
	raise_tick_peak(account, connections);
}

static void
leave(int i, int64 now)
{
	PmAccount  *account = ACCOUNT(i);

	pg_atomic_fetch_add_u64(&account->moves_begun, 1);
	pg_atomic_fetch_sub_u32(&account->connections, 1);
	pg_atomic_fetch_add_u64(&account->open_time, now);
	pg_atomic_fetch_add_u64(&account->moves_done, 1);
}

/*
 * Enters a session, elsewhere if the account is being closed: the count of
 * connections goes up before the state is looked at, and who closes looks the
 * other way round.
 */
static void
enter_open_account(int *account, int64 now)
{
	enter(*account, now);
	if (!pm_account_ready(*account))
	{
		leave(*account, now);
		*account = pm_other_account();
		enter(*account, now);
	}
}

/* A session has begun; gives back the account that it is in. */
void
pm_account_begin(int *account)
{
	int64		now = pm_monotonic_us();
	int			accounts[3];
	int			n;

	enter_open_account(account, now);
	n = with_sums(*account, accounts);
	for (int i = 1; i < n; i++)
		enter(accounts[i], now);
	pm_account_add(*account, PM_CONNECTS, 1);
}

/* A session has ended; lifetime in us. */
void
pm_account_end(int account, PmCounter how, int64 lifetime)
{
	int64		now = pm_monotonic_us();
	int			accounts[3];
	int			n = with_sums(account, accounts);

	for (int i = 0; i < n; i++)
		leave(accounts[i], now);
	pm_account_add(account, how, 1);
	lifetime = Max(lifetime, 0);
	pg_atomic_fetch_add_u64(&ACCOUNT(account)->lifetimes[pm_bucket(lifetime)], 1);
	pm_account_raise(&ACCOUNT(account)->lifetime_max, lifetime);
}

/*
 * A session goes alive to another account, in a transaction that has been open
 * for so many us (0: in none): that time was spent for the former one. Gives
 * back where it is. Caller holds the lock of the session's sheet.
 */
void
pm_account_move(int from, int *to, int64 open)
{
	int64		now = pm_monotonic_us();

	enter_open_account(to, now);
	leave(from, now);
	pg_atomic_fetch_add_u64(&ACCOUNT(from)->counters[PM_GIVEN_OVER], 1);
	pg_atomic_fetch_add_u64(&ACCOUNT(*to)->counters[PM_TAKEN_OVER], 1);
	pg_atomic_fetch_add_u64(&ACCOUNT(from)->busy, open);
	pg_atomic_fetch_sub_u64(&ACCOUNT(*to)->busy, open);

	if (is_undeclared(from) && !is_undeclared(*to))
	{
		leave(pm_undeclared_account(), now);
		pg_atomic_fetch_add_u64(&ACCOUNT(pm_undeclared_account())->counters[PM_GIVEN_OVER], 1);
		pg_atomic_fetch_add_u64(&ACCOUNT(pm_undeclared_account())->busy, open);
	}
	else if (!is_undeclared(from) && is_undeclared(*to))
	{
		enter(pm_undeclared_account(), now);
		pg_atomic_fetch_add_u64(&ACCOUNT(pm_undeclared_account())->counters[PM_TAKEN_OVER], 1);
		pg_atomic_fetch_sub_u64(&ACCOUNT(pm_undeclared_account())->busy, open);
	}
}

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
	raise_tick_peak(a, pg_atomic_read_u32(&a->connections));
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
	uint32		hash = hash_of(name);
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
	open_account(place, name);
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
	raise_peak(a, pg_atomic_read_u32(&a->connections), a->stats_reset);
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
		init_account(ACCOUNT(i));
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
	pg_atomic_fetch_add_u64(&a->busy, figures->busy);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		pg_atomic_fetch_add_u64(&a->lifetimes[i], figures->lifetimes[i]);
		pg_atomic_fetch_add_u64(&a->holds[i], figures->holds[i]);
	}
	pm_account_raise(&a->lifetime_max, figures->lifetime_max);
	pm_account_raise(&a->hold_max, figures->hold_max);
	raise_peak(a, figures->peak, figures->peak_at);
	a->observed_before += figures->observed;
	a->stats_reset = Min(a->stats_reset, figures->stats_reset);
	return (int) lost;
}
