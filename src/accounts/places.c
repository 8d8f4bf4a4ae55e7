/*
 * places.c
 *		Whose the places are: finding an account, and entering a new one.
 *
 * Finding runs in connecting, ending and refused processes, takes no lock and waits
 * for nobody. Where a place may be is in the index (index.h). Applications are entered
 * by who sees them first, in a free place; (other) where all places are taken, for the
 * moment: the worker makes room (room.c), and moves a session at its next tick. Logins
 * that were not admitted may take half of the places only: anybody who can reach the
 * server can make up names.
 *
 * What was found is the account's place and its incarnation: who counts there
 * has to hold it, which fails when it has another owner by now (place.h). That is
 * "(other)" too.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/index.h"
#include "accounts/places.h"
#include "accounts/search.h"
#include "base/guc.h"

#define INSERT_TRIES	10

#define KEY(i)		(&pm_accounts->keys[i])

static const PmPlace no_place = {.account = -1};

PmPlace
pm_place_of(int account)
{
	return (PmPlace)
	{
		.account = account,.incarnation = pm_account_incarnation(account)
	};
}

/* ---- finding ---- */

/* An account that is being closed is its owner's again. */
static bool
reopen(int i, uint32 incarnation)
{
	uint64		word;

	if (pm_place_move(&KEY(i)->place, incarnation, PM_PLACE_CLOSING, PM_PLACE_READY))
	{
		pg_atomic_fetch_sub_u32(&pm_accounts->closing, 1);
		return true;
	}
	word = pg_atomic_read_u64(&KEY(i)->place);
	return PM_PLACE_STATE(word) == PM_PLACE_READY && PM_PLACE_INCARNATION(word) == incarnation;
}

/* The owner's place, account -1 if it has none; (other) when that cannot be told. */
static PmPlace
find_owner(const PmOwner *owner, uint32 hash)
{
	PmWalk		walk = {.owner = owner,.hash = hash};
	bool		unsettled = false;
	int			i;

	while ((i = pm_walk_next(&walk)) >= 0)
	{
		uint64		word = pm_place_settled(i);
		PmPlaceState state = PM_PLACE_STATE(word);

		pg_read_barrier();
		unsettled |= state == PM_PLACE_CLAIMED;
		if (state != PM_PLACE_READY && state != PM_PLACE_CLOSING)
			continue;
		/* it may have changed hands before the word was read */
		if (pm_walk_matches(&walk, i) && (state == PM_PLACE_READY || reopen(i, PM_PLACE_INCARNATION(word))))
			return (PmPlace)
		{
			.account = i,.incarnation = PM_PLACE_INCARNATION(word)
		};
	}
	return unsettled ? pm_place_of(pm_other_account()) : no_place;
}

/* ---- applications ---- */

/* How many; a moment behind. */
static int
count_free(const PmFreePlaces *list)
{
	return (int) pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &list->n));
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
	PmFreePlaces *list = &pm_accounts->free_applications;
	uint32		hash = pm_owner_key(owner);

	for (int tries = 0; tries < INSERT_TRIES; tries++)
	{
		PmPlace		found = find_owner(owner, hash);
		int			place;

		if (found.account >= 0)
			return found;
		if (count_free(list) <= leave_free || (place = pm_free_pop(list, pm_accounts->next_free)) < 0)
		{
			if (pg_atomic_read_u32(&pm_accounts->closing) == 0)
				want_place(who);
			break;
		}
		found = pm_place_open(place, owner, hash);
		if (found.account >= 0)
			return found;
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

/* The same, but it is not entered: -1 when it has none, or when that cannot be told now. */
int
pm_application_find(const PmOwner *owner)
{
	PmPlace		found = find_owner(owner, pm_owner_key(owner));

	return found.account >= 0 && pm_account_is_application(found.account) ? found.account : -1;
}

/* For what the file says of one. Caller holds lock exclusively. */
int
pm_account_for_application(const PmOwner *owner)
{
	return enter_application(owner, 0, 0).account;
}

/* ---- pools ---- */

/*
 * The account of the pool with this name, opened if there is none yet; (other)
 * when there is no free place, which needs all declarations to be changed twice
 * between two ticks, or max_pools to have been lowered: then the worker gives it
 * one later. Caller holds lock exclusively.
 */
int
pm_account_for_pool(const char *name)
{
	PmOwner		owner = pm_owner_pool(name);
	uint32		hash = pm_owner_key(&owner);
	PmPlace		found = find_owner(&owner, hash);
	int			i;

	if (found.account >= 0)
		return found.account;
	i = pm_free_pop(&pm_accounts->free_pools, pm_accounts->next_free);
	if (i < 0 || pm_place_open(i, &owner, hash).account < 0)
		return pm_other_account();
	return i;
}
