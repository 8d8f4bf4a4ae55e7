/*
 * assign.c
 *		Which account is whose, by the declarations in force.
 *
 * The declarations are matched in place, without a lock. There are two sets of them;
 * changed ones are written into the set that is not in force, and then rules_version
 * moves on by one, which puts that set in force. A match counts only if the
 * version is still the same: else the set may be about to be overwritten again.
 * What is read then may be of two declarations at once, but it is bounded: every
 * string ends in a zero that is never overwritten. Should the version move
 * MATCH_TRIES times meanwhile, the session goes to "(other)" for the moment; the
 * worker moves it at its next tick.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/places.h"
#include "accounts/seats.h"
#include "base/guc.h"
#include "pools/assign.h"
#include "pools/declared.h"
#include "pools/rules.h"

#define MATCH_TRIES		100

/* False when the declarations were changed under it. */
static bool
match_in_place(const PmIdentity *who, PmPlace *place, bool *echo)
{
	uint32		version = pg_atomic_read_u32(&pm_declarations->rules_version);
	const PmRuleSet *set = &pm_declarations->rule_sets[version % 2];
	int			pool;

	pg_read_barrier();
	pool = pm_match(set->pools, set->leads, 0, Min(set->npools, pm_max_pools), who);
	if (pool >= 0)
		*place = pm_place_of(set->accounts[pool]);
	else
		place->account = -1;
	*echo = pool >= 0 && set->pools[pool].echo;
	pg_read_barrier();
	return pg_atomic_read_u32(&pm_declarations->rules_version) == version;
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
			return place.account >= 0 ? place : pm_application_account(who, admitted);
	}
	*echo = false;
	return pm_place_of(pm_other_account());
}

/*
 * The account of the declared pool alone; -1: there is none, or it cannot be told now. Enters
 * nothing.
 */
int
pm_pool_account_of(const PmIdentity *who)
{
	PmPlace		place;
	bool		echo;

	for (int tries = 0; tries < MATCH_TRIES; tries++)
	{
		if (match_in_place(who, &place, &echo))
			return place.account < pm_first_application() ? place.account : -1;
	}
	return -1;
}

/* Of each account of a pool: is it in force? */
static void
mark_in_force(bool *in_force)
{
	const PmRuleSet *set = pm_rules_in_force();

	memset(in_force, false, pm_first_application() * sizeof(bool));
	for (int i = 0; i < set->npools; i++)
	{
		if (set->accounts[i] < pm_first_application())
			in_force[set->accounts[i]] = true;
	}
}

/*
 * A login under way holds its seat, but not yet the account: the next owner would find a seat
 * less, for as long as the login takes, which may be for ever where it waits for a lock.
 */
static bool
has_seats(int account)
{
	return PM_SEAT_HELD(pg_atomic_read_u64(&pm_seats->all[pm_seat_of(account)].word)) > 0;
}

/*
 * Keeps max_pools places free for pools that are declared next: of the accounts
 * of pools that are declared no more, those that were dropped first are closed.
 */
static void
close_dropped(int64 now_ms)
{
	static uint64 generation = 0;	/* all is well with these declarations */
	static bool in_force[2 * PM_MOST_POOLS];
	bool		waits = false;
	int			nfree = 0;
	int			oldest = -1;

	/* before the first load nobody knows who is dropped */
	if (generation == pg_atomic_read_u64(&pm_declarations->generation) ||
		!OidIsValid(pm_declarations->load_database))
		return;

	mark_in_force(in_force);
	for (int i = 0; i < pm_first_application(); i++)
	{
		PmAccount  *account = &pm_accounts->all[i];

		if (!pm_account_ready(i))
		{
			nfree++;			/* or will be */
			continue;
		}
		if (in_force[i])
			account->dropped_at = 0;
		else if (account->dropped_at == 0)
			account->dropped_at = now_ms;
		if (account->dropped_at == 0)
			continue;
		if (has_seats(i))
			waits = true;
		else if (oldest < 0 || account->dropped_at < pm_accounts->all[oldest].dropped_at)
			oldest = i;
	}
	if (nfree < pm_max_pools && oldest >= 0)
		(void) pm_account_close(oldest);
	else if (nfree >= pm_max_pools || !waits)
		generation = pg_atomic_read_u64(&pm_declarations->generation);
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
		if (set->accounts[i] == pm_other_account())
			return;				/* no place is free: the others find none
								 * either */
		pg_atomic_fetch_add_u64(&pm_declarations->generation, 1);
	}
}

/* Called by the worker at each tick; one dropped pool at a time. */
void
pm_accounts_tidy(int64 now_ms)
{
	pm_places_free_closed(now_ms);
	close_dropped(now_ms);
	place_pools();
}
