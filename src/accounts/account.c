/*
 * account.c
 *		Counting, for each pool and application.
 *
 * What runs in a connecting, an ending or a refused process takes no lock and
 * waits for nobody. Who counts in an account has to hold its place, which fails when
 * that has another owner by now (place.h): then it is "(other)".
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "utils/timestamp.h"

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

#define MOST_COUNTED	(UINT64CONST(1) << 62)

/* ---- places ---- */

bool
pm_account_is_application(int account)
{
	return account >= pm_first_application() && account < pm_other_account();
}

bool
pm_account_ready(int account)
{
	return PM_PLACE_STATE(pg_atomic_read_u64(&KEY(account)->place)) == PM_PLACE_READY;
}

/* Moves when the place has another owner. */
uint32
pm_account_incarnation(int account)
{
	return PM_PLACE_INCARNATION(pg_atomic_read_u64(&KEY(account)->place));
}

static bool
is_undeclared(int account)
{
	return account >= pm_first_application() && account <= pm_other_account();
}

/* ---- times ---- */

static PmTimes *
times_of(int account, PmTimesKind kind)
{
	return &pm_accounts->times[account * PM_NUM_TIMES + kind];
}

void
pm_account_add_time(int account, PmTimesKind kind, int bucket, int64 n)
{
	pm_times_add(times_of(account, kind), &ACCOUNT(account)->octaves[kind], bucket, n);
}

void
pm_account_read_times(int account, PmTimesKind kind, uint64 *counts)
{
	pm_times_read(times_of(account, kind), &ACCOUNT(account)->octaves[kind], counts);
}

void
pm_account_clear_times(int account)
{
	for (int kind = 0; kind < PM_NUM_TIMES; kind++)
		pm_times_clear(times_of(account, kind), &ACCOUNT(account)->octaves[kind]);
}

/* Empties an account that nobody can find. */
void
pm_account_init(int account)
{
	uint32		incarnation = ACCOUNT(account)->incarnation;

	pm_account_clear_times(account);
	memset(ACCOUNT(account), 0, sizeof(PmAccount));
	ACCOUNT(account)->incarnation = incarnation;
}

/* Of a pool's: since when its sizes are what they are; 0: they were never others, or nobody knows. */
TimestampTz
pm_account_sized_since(int account)
{
	TimestampTz since = account < pm_first_application() ? ACCOUNT(account)->sizes.since : 0;

	return since == DT_NOBEGIN ? 0 : since;
}

PmAccounts *
pm_accounts_memory(void)
{
	return pm_accounts;
}

/* ---- counting ---- */

/* That account, which is now held, or (other) if it has another owner by now. */
int
pm_account_hold(PmPlace place)
{
	if (place.account >= pm_other_account() || pm_place_hold(&KEY(place.account)->place, place.incarnation))
		return place.account;
	return pm_other_account();
}

void
pm_account_let_go(int account)
{
	if (account < pm_other_account())
		pm_place_let_go(&KEY(account)->place);
}

void
pm_account_note_use(int account, int64 now)
{
	pg_atomic_write_u64(&ACCOUNT(account)->last_used, now / 1000);
}

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

/*
 * What clients say is bounded for each process and second only. A sum stops at the most, far from where it would begin
 * anew at 0. Returns what was added.
 */
uint64
pm_add_within_bounds(pg_atomic_uint64 *counter, uint64 n)
{
	uint64		old = pg_atomic_read_u64(counter);
	uint64		new;

	do
		new = old > MOST_COUNTED ? old : Min(old + Min(n, MOST_COUNTED), MOST_COUNTED);
	while (!pg_atomic_compare_exchange_u64(counter, &old, new));
	return new - old;
}

/* As a client's pool reports it. */
void
pm_account_add_reported(int account, PmCounter counter, int64 n)
{
	int			accounts[3];
	int			naccounts = with_sums(account, accounts);

	for (int i = 0; i < naccounts; i++)
		(void) pm_add_within_bounds(&ACCOUNT(accounts[i])->counters[counter], n);
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
static uint64
peak_word(int count, TimestampTz at)
{
	return ((uint64) Max(at / 1000, 0) << PM_PEAK_BITS) | (uint64) count;
}

/* To the ms; 0: no peak. */
TimestampTz
pm_peak_at(uint64 word)
{
	return (TimestampTz) (word >> PM_PEAK_BITS) * 1000;
}

void
pm_account_raise_peak(PmAccount *account, int connections, TimestampTz at)
{
	uint64		old = pg_atomic_read_u64(&account->peak);

	while (connections > PM_PEAK_COUNT(old) &&
		   !pg_atomic_compare_exchange_u64(&account->peak, &old,
										   peak_word(connections, at != 0 ? at : GetCurrentTimestamp())))
		;
}

void
pm_account_raise_tick_peak(PmAccount *account, uint32 connections)
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
	pm_account_raise_peak(account, connections, 0);
	pm_account_raise_tick_peak(account, connections);
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

/* A session has begun; gives back the account that it is in, and holds. */
int
pm_account_begin(PmPlace place)
{
	int64		now = pm_monotonic_us();
	int			account = pm_account_hold(place);
	int			accounts[3];
	int			n = with_sums(account, accounts);

	for (int i = 0; i < n; i++)
		enter(accounts[i], now);
	pm_account_add(account, PM_CONNECTS, 1);
	pm_account_note_use(account, now);
	return account;
}

/* Its set-up took so many us. The caller's session is there, and holds it. */
void
pm_account_set_up(int account, int64 us)
{
	pm_account_add_time(account, PM_SETUPS, pm_bucket(us), 1);
	pm_account_raise(&ACCOUNT(account)->setup_max, us);
}

/* A session has ended; lifetime in us. It holds the account no longer. */
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
	pm_account_add_time(account, PM_LIFETIMES, pm_bucket(lifetime), 1);
	pm_account_raise(&ACCOUNT(account)->lifetime_max, lifetime);
	pm_account_note_use(account, now);
	pm_account_let_go(account);
}

/* Between a declared pool and an application: the latter is worth keeping. */
static void
note_exchange(int one, int other)
{
	if (one < pm_first_application() && pm_account_is_application(other))
		pg_atomic_write_u32(&ACCOUNT(other)->near_declared, 1);
}

/* The part of a move that the sum of what is in no declared pool sees. */
static void
move_undeclared(int from, int to, int64 now, int64 open)
{
	PmAccount  *undeclared = ACCOUNT(pm_undeclared_account());

	if (is_undeclared(from) && !is_undeclared(to))
	{
		leave(pm_undeclared_account(), now);
		pg_atomic_fetch_add_u64(&undeclared->counters[PM_GIVEN_OVER], 1);
		pg_atomic_fetch_add_u64(&undeclared->busy, open);
	}
	else if (!is_undeclared(from) && is_undeclared(to))
	{
		enter(pm_undeclared_account(), now);
		pg_atomic_fetch_add_u64(&undeclared->counters[PM_TAKEN_OVER], 1);
		pg_atomic_fetch_sub_u64(&undeclared->busy, open);
	}
}

/*
 * A session goes alive to another account, in a transaction that has been open
 * for so many us (0: in none): that time was spent for the former one. Gives
 * back where it is. Caller holds the lock of the session's sheet.
 */
int
pm_account_move(int from, PmPlace place, int64 open)
{
	int64		now = pm_monotonic_us();
	int			to = pm_account_hold(place);

	/* it may be in (other) already, and find no better one */
	if (to == from)
	{
		pm_account_let_go(to);
		return to;
	}
	enter(to, now);
	leave(from, now);
	pg_atomic_fetch_add_u64(&ACCOUNT(from)->counters[PM_GIVEN_OVER], 1);
	pg_atomic_fetch_add_u64(&ACCOUNT(to)->counters[PM_TAKEN_OVER], 1);
	pg_atomic_fetch_add_u64(&ACCOUNT(from)->busy, open);
	pg_atomic_fetch_sub_u64(&ACCOUNT(to)->busy, open);
	move_undeclared(from, to, now, open);
	note_exchange(from, to);
	note_exchange(to, from);
	pm_account_note_use(from, now);
	pm_account_note_use(to, now);
	pm_account_let_go(from);
	return to;
}
