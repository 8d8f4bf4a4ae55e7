/*
 * places.h
 *		Whose the places are: finding an account, opening, closing and freeing it.
 */
#ifndef PM_PLACES_H
#define PM_PLACES_H

#include "accounts/place.h"
#include "base/identity.h"

/* places that one tick frees, because it holds the lock meanwhile */
#define PM_FREED_AT_ONCE	64

/* No lock, no allocation, no error: also for processes without PGPROC. */
extern PmPlace pm_place_of(int account);
extern PmPlace pm_application_account(const PmIdentity *who, bool admitted);
extern int	pm_application_find(const PmOwner *owner);

/* Caller holds lock exclusively. */
extern int	pm_account_for_application(const PmOwner *owner);
extern int	pm_account_for_pool(const char *name);

/* freeing.c. Caller holds lock exclusively. */
extern bool pm_account_close(int account);
extern bool pm_place_free(int account, uint32 incarnation, PmPlaceState state);
extern void pm_places_free_closed(int64 now_ms);

/* room.c: the worker's; takes lock. */
extern bool pm_accounts_make_room(int64 now_ms, int *held);

/* For this folder alone. */
extern PmPlace pm_place_open(int account, const PmOwner *owner, uint32 hash);
extern void pm_place_open_sum(int account, const char *name);
extern void pm_place_leave_index(int account);
extern void pm_place_put_back(int account);

#endif							/* PM_PLACES_H */
