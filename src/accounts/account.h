/*
 * account.h
 *		The accounts: what was counted for each pool and application.
 *
 * An account belongs to a declared pool (by name, so that a pool that is
 * deleted and declared again finds its own), to a discovered application (by its
 * name, and the database and role under which it logged in: many drivers have one
 * name for all that use them), or to what no longer fits, "(other)". Two more hold
 * sums: "(undeclared)", of all that is in no declared pool, and "(server)", of
 * everything.
 *
 * Every session that has begun is in exactly one account, whose place it holds
 * (place.h), and in the sums above it. Whatever a count is, it goes to both, by atomics
 * and without a lock, because connects and refusals are counted by processes that may
 * hold none. So the sums are exact as they are counted; as they are shown, since a
 * reset() of everything, they differ from their parts by what was counted while it
 * went from account to account.
 *
 *		connections = connects + taken over - ended - given over
 *
 * holds for every account at every moment in which nobody is in between.
 */
#ifndef PM_ACCOUNT_H
#define PM_ACCOUNT_H

#include "accounts/counters.h"
#include "accounts/first.h"
#include "accounts/index.h"
#include "accounts/place.h"
#include "accounts/sizes.h"
#include "accounts/times.h"
#include "base/guc.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

/* What is looked through to find an account: apart, to be close together. */
typedef struct PmAccountKey
{
	pg_atomic_uint64 place;		/* see place.h; a pool's is opened by the
								 * loader and closed by the worker, both under
								 * lock */
	uint32		hash;			/* of the owner; set before way */
	int			way;			/* in the index, see index.h: who looks all
								 * places through may find one in it */
} PmAccountKey;

/* A peak and its moment in one word; 0: none. See pm_peak_at(). */
#define PM_PEAK_BITS	20
#define PM_PEAK_COUNT(word)	((int) ((word) & ((1 << PM_PEAK_BITS) - 1)))

/* In the order in which it is used together: by settling and at each tick first. */
typedef struct PmAccount
{
	uint32		incarnation;	/* of its place; moves when it is opened.
								 * Written with owner */

	/* atomics, no lock; never set back */
	pg_atomic_uint32 connections;

	/*
	 * The sessions that are there, and the sum of ends less begins in us of
	 * the monotonic clock: together the exact time that connections were
	 * open. Changed between begun and done, so that a reader knows whether
	 * the two fit: see pm_account_open_time().
	 */
	pg_atomic_uint64 moves_begun;
	pg_atomic_uint64 moves_done;
	pg_atomic_uint64 open_time;

	pg_atomic_uint64 busy;		/* us in transactions that were folded */
	pg_atomic_uint64 counters[PM_NUM_COUNTERS];
	pg_atomic_uint64 octaves[PM_NUM_TIMES]; /* bit n: there is something in
											 * octave n, see times.h */
	pg_atomic_uint64 hold_max;	/* us */
	pg_atomic_uint64 lifetime_max;	/* us */
	pg_atomic_uint64 setup_max; /* us */

	pg_atomic_uint64 peak;		/* PM_PEAK_...: since stats_reset */
	pg_atomic_uint32 tick_peak; /* since the last tick */
	pg_atomic_uint32 near_declared; /* it and a declared pool exchanged a
									 * session */
	pg_atomic_uint64 last_used; /* ms, monotonic; 0: not since the start */
	pg_atomic_uint64 refused_at;	/* likewise: a login, for want of a slot */

	/* the worker's alone */
	uint64		in_history[PM_NUM_KEPT];	/* of the counters */
	uint64		merged[PM_NUM_COUNTERS];	/* of them: not counted here, but
											 * added from elsewhere */
	uint32		series;			/* of history, of an application; may be
								 * another's by now. 0: none */

	/* written under lock (a pool's), or by who claimed it (an application's) */
	PmOwner		owner;

	/* protected by lock: what stats_reset left out of the account */
	TimestampTz stats_reset;
	int64		claimed_at;		/* ms, monotonic: when it was seen CLAIMED; 0:
								 * it was not. Cleared by who had claimed it */
	int64		dropped_at;		/* ms, monotonic: since when a pool's account
								 * is of none that is declared; 0: it is */
	int64		observed_before;	/* us of earlier runs of the server */
	int64		observed_since; /* us, monotonic: begin of this run's part */
	PmSizes		sizes;			/* of a declared pool; since of (undeclared):
								 * the last load that may have taken sessions
								 * from it, 0: none */
	int64		base_busy;		/* to be subtracted, as the next two */
	uint64		base[PM_NUM_COUNTERS];
	uint64		base_declines[PM_NUM_REASONS];

	pg_atomic_uint64 declines[PM_NUM_REASONS];	/* PM_DECLINED by PmReason */
	PmFirstFailure firsts[PM_NUM_FAILURES];
} PmAccount;

/* In PmAccounts.no_place: an application whose login was admitted, or was not. */
#define PM_NO_PLACE_ADMITTED	1
#define PM_NO_PLACE_FAILED		2

typedef struct PmAccounts
{
	/*
	 * Also protects the declarations, because publishing them opens accounts,
	 * and the errand under way. Held for a memcpy; to compare names only when
	 * the declarations in force have changed since they were compared without
	 * it (publish.c); never across a call that can wait or raise.
	 */
	LWLockPadded lock;			/* a cache line of its own */

	/* atomics: no lock */
	pg_atomic_uint32 resets;	/* of accounts */
	pg_atomic_uint32 no_place;	/* PM_NO_PLACE_...: somebody found none */
	pg_atomic_uint32 given_up;	/* applications whose sums went to (other) */
	pg_atomic_uint32 refused_full;	/* logins, while nearly all slots were
									 * sessions */
	pg_atomic_uint32 refused_half;	/* while half of them were */
	pg_atomic_uint32 entering;	/* places that are CLAIMED */
	pg_atomic_uint32 closing;	/* places that are CLOSING */
	PmFreePlaces free_pools;
	PmFreePlaces free_applications;

	/* the worker's alone */
	bool		applications_full;	/* that was said, of this crowd */
	int64		crowded_until;	/* ms, monotonic: places are kept free */

	uint64		seed;			/* of hashes in the index; set once */
	uint32		line_mask;
	PmIndexLine *lines;
	pg_atomic_uint32 *next_free;	/* pm_num_accounts() */
	PmAccountKey *keys;			/* likewise */
	PmAccount  *all;			/* likewise */
	PmTimes    *times;			/* PM_NUM_TIMES of each of these */
} PmAccounts;

extern PmAccounts *pm_accounts;

/* For the tests that make up a past: test/modules. */
extern PGDLLEXPORT PmAccounts *pm_accounts_memory(void);
extern const PmSection pm_accounts_section;

/*
 * Layout of the array: pools, as many again as max_pools, because those no longer declared
 * keep theirs for a while; applications; then these.
 */
static inline int
pm_first_application(void)
{
	return 2 * pm_max_pools;
}

static inline int
pm_other_account(void)
{
	return pm_first_application() + pm_max_applications;
}

static inline int
pm_undeclared_account(void)
{
	return pm_other_account() + 1;
}

static inline int
pm_server_account(void)
{
	return pm_other_account() + 2;
}

static inline int
pm_num_accounts(void)
{
	return pm_other_account() + 3;
}

extern bool pm_account_ready(int account);
extern uint32 pm_account_incarnation(int account);
extern bool pm_account_is_application(int account);
extern TimestampTz pm_account_sized_since(int account);

/* No lock, no allocation, no error: also for processes without PGPROC. */
extern int	pm_account_hold(PmPlace place);
extern void pm_account_let_go(int account);
extern void pm_account_add(int account, PmCounter counter, int64 n);
extern void pm_account_add_reported(int account, PmCounter counter, int64 n);
extern uint64 pm_add_within_bounds(pg_atomic_uint64 *counter, uint64 n);
extern void pm_account_add_busy(int account, int64 us);
extern int	pm_account_begin(PmPlace place);
extern void pm_account_set_up(int account, int64 us);
extern void pm_account_weigh_refusal(void);
extern void pm_account_end(int account, PmCounter how, int64 lifetime);
extern int	pm_account_move(int from, PmPlace to, int64 open);
extern void pm_account_raise(pg_atomic_uint64 *max, uint64 value);
extern TimestampTz pm_peak_at(uint64 word);

/* For this folder alone. */
extern void pm_account_init(int account);
extern void pm_account_note_use(int account, int64 now);
extern void pm_account_add_time(int account, PmTimesKind kind, int bucket, int64 n);
extern void pm_account_read_times(int account, PmTimesKind kind, uint64 *counts);
extern void pm_account_clear_times(int account);
extern void pm_account_raise_peak(PmAccount *account, int connections, TimestampTz at);
extern void pm_account_raise_tick_peak(PmAccount *account, uint32 connections);

#endif							/* PM_ACCOUNT_H */
