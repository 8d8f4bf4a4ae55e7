/*
 * freeing.c
 *		Closing and freeing places. All callers hold lock exclusively.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "accounts/seats.h"
#include "base/clock.h"

/* ms; who claims a place and is not ready by then is waited for no longer */
#define CLAIM_TIME		2000

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

/* Begins to close an account; false when somebody holds it. */
bool
pm_account_close(int account)
{
	if (!pm_place_move(&KEY(account)->place, pm_account_incarnation(account), PM_PLACE_READY, PM_PLACE_CLOSING))
		return false;
	pg_atomic_fetch_add_u32(&pm_accounts->closing, 1);
	return true;
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
 * Frees the place, whose word is to be in this state and held by nobody. Under lock
 * readers see its sums here or in (other).
 */
bool
pm_place_free(int account, uint32 incarnation, PmPlaceState state)
{
	pg_atomic_uint64 *place = &KEY(account)->place;

	if (!pm_place_move(place, incarnation, state, PM_PLACE_LEAVING))
		return false;
	if (state == PM_PLACE_CLOSING)
		pg_atomic_fetch_sub_u32(&pm_accounts->closing, 1);
	pm_place_leave_index(account);
	if (pm_account_is_application(account))
		give_to_other(account);
	else
		pm_seat_forget(account);
	pm_account_init(account);
	pg_write_barrier();
	(void) pm_place_move(place, incarnation, PM_PLACE_LEAVING, PM_PLACE_FREE);
	pm_place_put_back(account);
	return true;
}

/* Somebody has claimed it. Whoever is stopped keeps it, but nobody waits any more. */
static void
weigh_claim(int account, uint32 incarnation, int64 now_ms)
{
	int64	   *since = &ACCOUNT(account)->claimed_at;

	if (*since == 0)
		*since = now_ms;
	else if (now_ms - *since >= CLAIM_TIME)
		(void) pm_place_move(&KEY(account)->place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_LOST);
}

/* Frees what has been closed, and looks after what has been claimed for too long. */
void
pm_places_free_closed(int64 now_ms)
{
	int			freed = 0;

	if (pg_atomic_read_u32(&pm_accounts->closing) == 0 && pg_atomic_read_u32(&pm_accounts->entering) == 0)
		return;
	for (int i = 0; i < pm_other_account() && freed < PM_FREED_AT_ONCE; i++)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);
		uint32		incarnation = PM_PLACE_INCARNATION(word);

		if (PM_PLACE_STATE(word) == PM_PLACE_CLOSING && pm_place_free(i, incarnation, PM_PLACE_CLOSING))
			freed++;
		if (PM_PLACE_STATE(word) == PM_PLACE_CLAIMED)
			weigh_claim(i, incarnation, now_ms);
	}
}
