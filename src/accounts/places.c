/*
 * places.c
 *		Whose the places are: finding an account, opening, closing and freeing it.
 *
 * Finding runs in connecting, ending and refused processes, takes no lock and waits
 * for nobody. Applications are entered by who sees them first, in the lowest free
 * place, by compare-and-exchange; who meets a CLAIMED place waits for its name, which
 * takes some instructions, but not for ever. Where that fails, or all places
 * are taken, it is "(other)" for the moment: the worker makes room (room.c), and
 * moves a session at its next tick. Logins that were not admitted may take half
 * of the places only: anybody who can reach the server can make up names. (An
 * owner can get two places when a lower one becomes free between two who enter it
 * at the same moment: then it has two rows until nobody is in the higher one and
 * its place is needed.)
 *
 * What was found is the account's place and its incarnation: who counts there
 * has to hold it, which fails when it has another owner by now (place.h). That is
 * "(other)" too.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/shmem.h"
#include "storage/s_lock.h"
#include "utils/timestamp.h"

#define INSERT_TRIES	10
#define CLAIM_SPINS		1000	/* for the name of a claimed place */

/* ms; who claims a place and is not ready by then is waited for no longer */
#define CLAIM_TIME		2000

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

static const PmPlace no_place = {.account = -1};

PmAccounts *pm_accounts = NULL;

static Size
accounts_size(void)
{
	Size		size = MAXALIGN(sizeof(PmAccounts));

	size = add_size(size, MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccountKey))));
	size = add_size(size, MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccount))));
	return add_size(size, mul_size(pm_num_accounts(), PM_NUM_TIMES * sizeof(PmTimes)));
}

static void
attach_accounts(void *memory)
{
	pm_accounts = memory;
}

static Size
explain_accounts(StringInfo text)
{
	Size		size = mul_size(pm_max_applications, sizeof(PmAccount) + PM_NUM_TIMES * sizeof(PmTimes));

	appendStringInfo(text, "Applications (\"pool_monitor.max_applications\" %d): %zu MB. ", pm_max_applications, size >> 20);
	return size;
}

/*
 * Opens a free place for this owner; account -1 when somebody else was faster, or
 * when it took so long that nobody waits for it any more.
 */
static PmPlace
open_place(int i, const PmOwner *owner)
{
	PmAccount  *account = ACCOUNT(i);
	pg_atomic_uint64 *place = &KEY(i)->place;
	uint32		incarnation;

	if (!pm_place_claim(place, &incarnation))
		return no_place;
	account->stats_reset = GetCurrentTimestamp();
	account->owner = *owner;
	account->incarnation = incarnation;
	account->observed_since = pm_monotonic_us();
	KEY(i)->hash = (uint32) pm_owner_hash(owner);
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

static void
open_sum(int i, const char *name)
{
	PmOwner		owner = pm_owner_pool(name);

	(void) open_place(i, &owner);
}

/* In the postmaster, before anybody else is there. */
static void
init_accounts(void)
{
	char	   *at = (char *) pm_accounts + MAXALIGN(sizeof(PmAccounts));

	LWLockInitialize(&pm_accounts->lock.lock, pm_tranche());
	pm_accounts->keys = (PmAccountKey *) at;
	pm_accounts->all = (PmAccount *) (at + MAXALIGN(pm_num_accounts() * sizeof(PmAccountKey)));
	at = (char *) pm_accounts->all + MAXALIGN(pm_num_accounts() * sizeof(PmAccount));
	pm_accounts->times = (PmTimes *) at;
	open_sum(pm_other_account(), "(other)");
	open_sum(pm_undeclared_account(), "(undeclared)");
	open_sum(pm_server_account(), "(server)");
}

const PmSection pm_accounts_section = {
	.name = "accounts",
	.size = accounts_size,
	.attach = attach_accounts,
	.init = init_accounts,
	.explain = explain_accounts,
};

/* ---- finding an account ---- */

PmPlace
pm_place_of(int account)
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
	PmPlace		found;			/* account -1: it has none */
	int			free;			/* the lowest free one; -1: none */
	int			nfree;
	bool		soon_free;		/* some are being closed */
} Finding;

/* The application's place, if it has one; (other) when that cannot be told. */
static Finding
find_application(const PmOwner *owner, uint32 hash)
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
		if (KEY(i)->hash == hash && pm_owner_equal(&ACCOUNT(i)->owner, owner) &&
			(state == PM_PLACE_READY || reopen(i, PM_PLACE_INCARNATION(word))))
		{
			f.found.account = i;
			f.found.incarnation = PM_PLACE_INCARNATION(word);
			return f;
		}
	}
	if (unsettled)
		f.found = pm_place_of(pm_other_account());
	return f;
}

/* Asks the worker to make room, see room.c. */
static void
want_place(uint32 who)
{
	if ((pg_atomic_read_u32(&pm_accounts->no_place) & who) != who)
		pg_atomic_fetch_or_u32(&pm_accounts->no_place, who);
}

/*
 * The application's place, entered now if it is new and more than so many places
 * are free; if not, the worker is asked to make room for somebody like that.
 */
static PmPlace
enter_application(const PmOwner *owner, int leave_free, uint32 who)
{
	uint32		hash = (uint32) pm_owner_hash(owner);

	for (int tries = 0; tries < INSERT_TRIES; tries++)
	{
		Finding		f = find_application(owner, hash);

		if (f.found.account >= 0)
			return f.found;
		if (f.nfree <= leave_free)
		{
			if (!f.soon_free)
				want_place(who);
			break;
		}
		f.found = open_place(f.free, owner);
		if (f.found.account >= 0)
			return f.found;
	}
	return pm_place_of(pm_other_account());
}

/* That of a discovered application. */
PmPlace
pm_application_account(const PmIdentity *who, bool admitted)
{
	PmOwner		owner = pm_owner_application(who);

	if (admitted)
		return enter_application(&owner, 0, PM_NO_PLACE_ADMITTED);
	return enter_application(&owner, pm_max_applications / 2, PM_NO_PLACE_FAILED);
}

/* The same for what the file says of one. Caller holds lock exclusively. */
int
pm_account_for_application(const PmOwner *owner)
{
	return enter_application(owner, 0, 0).account;
}

/* ---- pools, closing ---- */

/*
 * The account of the pool with this name, opened if there is none yet; (other)
 * when there is no free place, which needs all declarations to be changed twice
 * between two ticks, or max_pools to have been lowered: then the worker gives it
 * one later.
 */
int
pm_account_for_pool(const char *name)
{
	PmOwner		owner = pm_owner_pool(name);
	uint32		hash = (uint32) pm_owner_hash(&owner);
	int			place = -1;

	for (int i = 0; i < pm_first_application(); i++)
	{
		PmPlaceState state = PM_PLACE_STATE(pg_atomic_read_u64(&KEY(i)->place));

		if (state == PM_PLACE_READY && KEY(i)->hash == hash && pm_owner_equal(&ACCOUNT(i)->owner, &owner))
			return i;
		if (state == PM_PLACE_FREE && place < 0)
			place = i;
	}
	if (place < 0 || open_place(place, &owner).account < 0)
		return pm_other_account();
	return place;
}

/* Begins to close an account; false when somebody holds it. */
bool
pm_account_close(int account)
{
	return pm_place_move(&KEY(account)->place, pm_account_incarnation(account),
						 PM_PLACE_READY, PM_PLACE_CLOSING);
}

/*
 * An application's sums go to (other), since its stats_reset; the sums above have
 * them. (other) was watched for as long as the one of them that was watched for
 * longest.
 */
static void
give_to_other(int account)
{
	static PmFigures figures;	/* too large for a stack */
	PmAccount  *other = ACCOUNT(pm_other_account());
	int64		observed = other->observed_before + pm_monotonic_us() - other->observed_since;

	pm_account_read(account, &figures);
	pm_account_add_figures(pm_other_account(), &figures);
	other->observed_before += Max(figures.observed - observed, 0);
	pg_atomic_fetch_add_u32(&pm_accounts->given_up, 1);
}

/*
 * Frees the place, whose word is to be in this state and held by nobody. Caller
 * holds lock exclusively, so that readers see its sums here or in (other).
 */
bool
pm_place_free(int account, uint32 incarnation, PmPlaceState state)
{
	pg_atomic_uint64 *place = &KEY(account)->place;

	if (!pm_place_move(place, incarnation, state, PM_PLACE_LEAVING))
		return false;
	if (pm_account_is_application(account))
		give_to_other(account);
	pm_account_init(account);
	pg_write_barrier();
	(void) pm_place_move(place, incarnation, PM_PLACE_LEAVING, PM_PLACE_FREE);
	return true;
}

/*
 * Frees what has been closed. A place that somebody has claimed for too long (he
 * is stopped) stays his, but nobody waits for it any more.
 */
void
pm_places_free_closed(int64 now_ms)
{
	int			freed = 0;

	for (int i = 0; i < pm_other_account() && freed < PM_FREED_AT_ONCE; i++)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);
		uint32		incarnation = PM_PLACE_INCARNATION(word);
		int64	   *since = &ACCOUNT(i)->claimed_at;

		if (PM_PLACE_STATE(word) == PM_PLACE_CLOSING &&
			pm_place_free(i, incarnation, PM_PLACE_CLOSING))
			freed++;
		if (PM_PLACE_STATE(word) != PM_PLACE_CLAIMED)
			continue;
		if (*since == 0)
			*since = now_ms;
		else if (now_ms - *since >= CLAIM_TIME)
			(void) pm_place_move(&KEY(i)->place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_LOST);
	}
}
