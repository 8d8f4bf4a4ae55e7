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

/* A server is nearly full when fewer slots than these are left to use. */
#define NEARLY_FULL_LEAST	3
#define NEARLY_FULL_SHARE	20	/* one in so many */

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
void
pm_account_init(PmAccount *account)
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
	for (int i = 0; i < PM_MOST_REASONS; i++)
		pg_atomic_init_u64(&account->declines[i], 0);
	pg_atomic_init_u64(&account->busy, 0);
	pg_atomic_init_u64(&account->lifetime_max, 0);
	pg_atomic_init_u64(&account->hold_max, 0);
	pg_atomic_init_u64(&account->moves_begun, 0);
	pg_atomic_init_u64(&account->moves_done, 0);
	pg_atomic_init_u32(&account->connections, 0);
	pg_atomic_init_u64(&account->open_time, 0);
	pg_atomic_init_u64(&account->peak, 0);
	pg_atomic_init_u32(&account->tick_peak, 0);
	pg_atomic_init_u64(&account->watched, 0);
	pg_atomic_init_u64(&account->watched_connects, 0);
}

uint32
pm_account_hash(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

/* Opens an empty account under its name. */
void
pm_account_open(int i, const char *name)
{
	PmAccount  *account = ACCOUNT(i);

	strlcpy(account->name, name, PM_NAME_LEN);
	account->incarnation++;
	account->stats_reset = GetCurrentTimestamp();
	account->observed_since = pm_monotonic_us();
	KEY(i)->hash = pm_account_hash(account->name);
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
		pm_account_init(ACCOUNT(i));
	}
	pm_account_open(pm_other_account(), "(other)");
	pm_account_open(pm_undeclared_account(), "(undeclared)");
	pm_account_open(pm_server_account(), "(server)");
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
	uint32		hash = pm_account_hash(name);

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
			pm_account_open(free, name);
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

/*
 * A login was refused for want of a slot. What that says lies in how many of the
 * slots are sessions that have begun: anybody who can reach the server can hold the
 * rest without a password.
 */
void
pm_account_weigh_refusal(void)
{
	int			usable = pm_usable_connections();
	int			begun = pg_atomic_read_u32(&ACCOUNT(pm_server_account())->connections);

	if (begun >= usable - Max(NEARLY_FULL_LEAST, usable / NEARLY_FULL_SHARE))
		pg_atomic_fetch_add_u32(&pm_shared->refused_full, 1);
	else if (begun >= usable / 2)
		pg_atomic_fetch_add_u32(&pm_shared->refused_half, 1);
}

/* Of a login role at an address; never 0. */
uint64
pm_client_key(Oid role, const PmAddr *addr)
{
	return hash_bytes_extended(addr->bytes, sizeof(addr->bytes), ((uint64) addr->family << 32) | role) | 1;
}

/* A session of this client has begun in the account. */
void
pm_account_note_client(int account, Oid role, const PmAddr *addr)
{
	uint64		watched = pg_atomic_read_u64(&ACCOUNT(account)->watched);

	if (watched != 0 && watched == pm_client_key(role, addr))
		pg_atomic_fetch_add_u64(&ACCOUNT(account)->watched_connects, 1);
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

void
pm_account_raise_peak(PmAccount *account, int connections, TimestampTz at)
{
	uint64		old = pg_atomic_read_u64(&account->peak);

	while (connections > PM_PEAK_COUNT(old) &&
		   !pg_atomic_compare_exchange_u64(&account->peak, &old,
										   pm_peak_word(connections, at != 0 ? at : GetCurrentTimestamp())))
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
