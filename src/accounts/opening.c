/*
 * opening.c
 *		Opening a place for an owner who has none.
 *
 * Two who enter the same owner at the same moment must not make two places of it. Each
 * claims a place, writes its owner there, enters it into the index, and looks at the
 * others of that owner there: so at least one of the two sees the other. Who sees one
 * that is READY, or one that comes before it, gives its own place back; who sees one that
 * comes after it waits until that is READY or given back, because its owner may have
 * looked too early to know better. Whoever meets a CLAIMED place waits like that, which
 * takes some instructions, but not for ever: it is "(other)" then.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/places.h"
#include "accounts/search.h"
#include "base/clock.h"
#include "utils/timestamp.h"

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

static const PmPlace no_place = {.account = -1};

void
pm_place_leave_index(int account)
{
	pm_index_leave(pm_index_line(KEY(account)->hash), account, KEY(account)->way);
	KEY(account)->way = PM_WAY_NONE;
}

static PmFreePlaces *
free_places(int account)
{
	return account < pm_first_application() ? &pm_accounts->free_pools : &pm_accounts->free_applications;
}

/* It is FREE. The sums are nobody's to take. */
void
pm_place_put_back(int account)
{
	if (account < pm_other_account())
		pm_free_push(free_places(account), pm_accounts->next_free, account);
}

static void
claim(int i, uint32 incarnation, const PmOwner *owner, uint32 hash)
{
	PmAccount  *account = ACCOUNT(i);

	account->stats_reset = GetCurrentTimestamp();
	account->owner = *owner;
	account->incarnation = incarnation;
	account->observed_since = pm_monotonic_us();
	KEY(i)->hash = hash;
}

/* Nobody else has the owner, nor will: see above. */
static bool
is_the_only_one(int mine, const PmOwner *owner, uint32 hash)
{
	PmWalk		walk = {.owner = owner,.hash = hash};
	int			i;

	while ((i = pm_walk_next(&walk)) >= 0)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);

		if (i == mine)
			continue;
		if (PM_PLACE_STATE(word) == PM_PLACE_CLAIMED && walk.position > pm_walk_position(mine, KEY(mine)->way))
			word = pm_place_settled(i);
		switch (PM_PLACE_STATE(word))
		{
			case PM_PLACE_CLAIMED:
			case PM_PLACE_READY:
			case PM_PLACE_CLOSING:
				return false;
			case PM_PLACE_FREE:
			case PM_PLACE_LEAVING:
			case PM_PLACE_LOST:
				break;
		}
	}
	return true;
}

/* What was claimed goes back unused. */
static void
withdraw(int i, uint32 incarnation)
{
	pg_atomic_uint64 *place = &KEY(i)->place;

	pm_place_leave_index(i);
	ACCOUNT(i)->claimed_at = 0;
	pg_write_barrier();
	if (!pm_place_move(place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_FREE))
		(void) pm_place_move(place, incarnation, PM_PLACE_LOST, PM_PLACE_FREE);
	pm_place_put_back(i);
}

/*
 * Opens a place, which was taken off the free ones, for this owner; account -1 when
 * somebody else was faster, or when it took so long that nobody waits for it any more.
 */
PmPlace
pm_place_open(int i, const PmOwner *owner, uint32 hash)
{
	uint32		incarnation;
	bool		opened;

	if (!pm_place_claim(&KEY(i)->place, &incarnation))
		return no_place;
	pg_atomic_fetch_add_u32(&pm_accounts->entering, 1);
	claim(i, incarnation, owner, hash);
	pg_write_barrier();
	KEY(i)->way = pm_index_enter(pm_index_line(hash), i);
	pg_memory_barrier();
	opened = is_the_only_one(i, owner, hash) &&
		pm_place_move(&KEY(i)->place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_READY);
	if (!opened)
		withdraw(i, incarnation);
	pg_atomic_fetch_sub_u32(&pm_accounts->entering, 1);
	return opened ? (PmPlace)
	{
		.account = i,.incarnation = incarnation
	}
	: no_place;
}

/* In the postmaster, before anybody else is there. Nobody looks for it by its name. */
void
pm_place_open_sum(int account, const char *name)
{
	PmOwner		owner = pm_owner_pool(name);
	uint32		incarnation;

	if (!pm_place_claim(&KEY(account)->place, &incarnation))
		return;
	claim(account, incarnation, &owner, pm_owner_key(&owner));
	(void) pm_place_move(&KEY(account)->place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_READY);
}
