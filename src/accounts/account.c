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
 * are taken, it is "(other)" for the moment: the worker makes room (figures.c), and
 * moves a session at its next tick. Logins that were not admitted may take half
 * of the places only: anybody who can reach the server can make up names. (A
 * name can get two places when a lower one becomes free between two who enter it
 * at the same moment: then it has two rows until nobody is in the higher one and
 * its place is needed.)
 *
 * What was found is the account's place and its incarnation: who counts there
 * has to hold it, which fails when it has another owner by now (place.h). That is
 * "(other)" too.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "common/hashfn.h"
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

static const PmPlace no_place = {.account = -1};

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
	pg_atomic_init_u64(&account->last_used, 0);
	pg_atomic_init_u32(&account->near_declared, 0);
	for (int i = 0; i < PM_MOST_JUDGED; i++)
	{
		pg_atomic_init_u32(&account->pace.judged[i].role, InvalidOid);
		pg_atomic_init_u64(&account->pace.judged[i].connects, 0);
	}
}

uint32
pm_account_hash(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

/*
 * Opens a free place under this name; account -1 when somebody else was faster, or
 * when it took so long that nobody waits for it any more.
 */
PmPlace
pm_account_open(int i, const char *name)
{
	PmAccount  *account = ACCOUNT(i);
	pg_atomic_uint64 *place = &KEY(i)->place;
	uint32		incarnation;

	if (!pm_place_claim(place, &incarnation))
		return no_place;
	account->stats_reset = GetCurrentTimestamp();
	strlcpy(account->name, name, PM_NAME_LEN);
	account->incarnation = incarnation;
	account->observed_since = pm_monotonic_us();
	KEY(i)->hash = pm_account_hash(account->name);
	pg_write_barrier();
	if (pm_place_move(place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_READY))
		return (PmPlace)
	{
		.account = i,.incarnation = incarnation
	};
	account->claimed_at = 0;
	pg_write_barrier();
	(void) pm_place_move(place, incarnation, PM_PLACE_LOST, PM_PLACE_FREE);
	return no_place;
}

/* In the postmaster, before anybody else is there; pm_shared is set. */
void
pm_accounts_init(void *memory)
{
	pm_shared->account_keys = memory;
	pm_shared->accounts = (PmAccount *) ((char *) memory + MAXALIGN(pm_num_accounts() * sizeof(PmAccountKey)));
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		pg_atomic_init_u64(&KEY(i)->place, PM_PLACE_WORD(0, PM_PLACE_FREE, 0));
		pm_account_init(ACCOUNT(i));
	}
	(void) pm_account_open(pm_other_account(), "(other)");
	(void) pm_account_open(pm_undeclared_account(), "(undeclared)");
	(void) pm_account_open(pm_server_account(), "(server)");
}

/* ---- finding an account ---- */

static PmPlace
place_of(int account)
{
	return (PmPlace)
	{
		.account = account,.incarnation = pm_account_incarnation(account)
	};
}

/* Waits a moment for the name of a place that somebody is taking. */
static uint64
settled_word(int i)
{
	uint64		word = pg_atomic_read_u64(&KEY(i)->place);

	for (int spin = 0; PM_PLACE_STATE(word) == PM_PLACE_CLAIMED && spin < CLAIM_SPINS; spin++)
	{
		SPIN_DELAY();
		word = pg_atomic_read_u64(&KEY(i)->place);
	}
	return word;
}

/* An account that is being closed is its application's again. */
static bool
reopen(int i, uint32 incarnation)
{
	uint64		word;

	if (pm_place_move(&KEY(i)->place, incarnation, PM_PLACE_CLOSING, PM_PLACE_READY))
		return true;
	word = pg_atomic_read_u64(&KEY(i)->place);
	return PM_PLACE_STATE(word) == PM_PLACE_READY && PM_PLACE_INCARNATION(word) == incarnation;
}

/* What the places look like to who looks for one. */
typedef struct Finding
{
	PmPlace		found;			/* account -1: none of that name */
	int			free;			/* the lowest free one; -1: none */
	int			nfree;
	bool		soon_free;		/* some are being closed */
} Finding;

/* The application's place, if it has one; (other) when that cannot be told. */
static Finding
find_application(const char *name, uint32 hash)
{
	Finding		f = {.found = no_place,.free = -1};
	bool		unsettled = false;

	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		uint64		word = settled_word(i);
		PmPlaceState state = PM_PLACE_STATE(word);

		unsettled |= state == PM_PLACE_CLAIMED;
		f.soon_free |= state == PM_PLACE_CLOSING || state == PM_PLACE_LEAVING;
		if (state == PM_PLACE_FREE && f.nfree++ == 0)
			f.free = i;
		if (state != PM_PLACE_READY && state != PM_PLACE_CLOSING)
			continue;
		pg_read_barrier();
		if (KEY(i)->hash == hash && strcmp(ACCOUNT(i)->name, name) == 0 &&
			(state == PM_PLACE_READY || reopen(i, PM_PLACE_INCARNATION(word))))
		{
			f.found.account = i;
			f.found.incarnation = PM_PLACE_INCARNATION(word);
			return f;
		}
	}
	if (unsettled)
		f.found = place_of(pm_other_account());
	return f;
}

/* Asks the worker to make room, see figures.c. */
static void
want_place(uint32 who)
{
	if ((pg_atomic_read_u32(&pm_shared->no_place) & who) != who)
		pg_atomic_fetch_or_u32(&pm_shared->no_place, who);
}

/*
 * The application's place, entered now if it is new and more than so many places
 * are free; if not, the worker is asked to make room for somebody like that.
 */
static PmPlace
enter_application(const char *name, int leave_free, uint32 who)
{
	uint32		hash = pm_account_hash(name);

	for (int tries = 0; tries < INSERT_TRIES; tries++)
	{
		Finding		f = find_application(name, hash);

		if (f.found.account >= 0)
			return f.found;
		if (f.nfree <= leave_free)
		{
			if (!f.soon_free)
				want_place(who);
			break;
		}
		f.found = pm_account_open(f.free, name);
		if (f.found.account >= 0)
			return f.found;
	}
	return place_of(pm_other_account());
}

/* That of a discovered application. */
PmPlace
pm_application_account(const char *name, bool admitted)
{
	if (admitted)
		return enter_application(name, 0, PM_NO_PLACE_ADMITTED);
	return enter_application(name, pm_max_applications / 2, PM_NO_PLACE_FAILED);
}

/* The same for what the file says of one. Caller holds lock exclusively. */
int
pm_account_for_application(const char *name)
{
	return enter_application(name, 0, 0).account;
}

/* False when the declarations were changed under it. */
static bool
match_in_place(const PmIdentity *who, PmPlace *place, bool *echo)
{
	uint32		version = pg_atomic_read_u32(&pm_shared->rules_version);
	const PmRuleSet *set = &pm_shared->rule_sets[version % 2];
	int			pool;

	pg_read_barrier();
	pool = pm_match(set->pools, Min(set->npools, pm_max_pools), who);
	if (pool >= 0)
		*place = place_of(set->accounts[pool]);
	else
		*place = no_place;
	*echo = pool >= 0 && set->pools[pool].echo;
	pg_read_barrier();
	return pg_atomic_read_u32(&pm_shared->rules_version) == version;
}

/*
 * The place of whoever logs in under these names, admitted or not, and whether
 * its pool wants its comings and goings logged.
 */
PmPlace
pm_account_of(const PmIdentity *who, bool admitted, bool *echo)
{
	PmPlace		place;

	for (int tries = 0; tries < MATCH_TRIES; tries++)
	{
		if (match_in_place(who, &place, echo))
			return place.account >= 0 ? place : pm_application_account(who->application_name, admitted);
	}
	*echo = false;
	return place_of(pm_other_account());
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

static void
note_use(int account, int64 now)
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

/* Counts one, for somebody who has no session there. */
void
pm_account_count(PmPlace place, PmCounter counter)
{
	int			account = pm_account_hold(place);

	pm_account_add(account, counter, 1);
	note_use(account, pm_monotonic_us());
	pm_account_let_go(account);
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

/* A session of this login role has begun in the account. */
void
pm_account_note_role(int account, Oid role)
{
	PmJudged   *judged = ACCOUNT(account)->pace.judged;

	for (int i = 0; i < PM_MOST_JUDGED; i++)
	{
		if (pg_atomic_read_u32(&judged[i].role) == role)
			pg_atomic_fetch_add_u64(&judged[i].connects, 1);
	}
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
	note_use(account, now);
	return account;
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
	pg_atomic_fetch_add_u64(&ACCOUNT(account)->lifetimes[pm_bucket(lifetime)], 1);
	pm_account_raise(&ACCOUNT(account)->lifetime_max, lifetime);
	note_use(account, now);
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
	note_use(from, now);
	note_use(to, now);
	pm_account_let_go(from);
	return to;
}
