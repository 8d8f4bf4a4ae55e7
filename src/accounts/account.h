/*
 * account.h
 *		The accounts: what was counted for each pool and application.
 *
 * An account belongs to a declared pool (by name, so that a pool that is
 * deleted and declared again finds its own), to a discovered application, or to
 * what no longer fits, "(other)". Two more hold sums: "(undeclared)", of all
 * that is in no declared pool, and "(server)", of everything.
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

#include "accounts/place.h"
#include "base/histogram.h"
#include "datatype/timestamp.h"
#include "pools/rules.h"
#include "port/atomics.h"

#define PM_MOST_REASONS 48		/* at least PM_NUM_REASONS, see shmem.c */

/* In the order of the file of statistics: add at the end. */
typedef enum PmCounter
{
	PM_CONNECTS,				/* sessions that began here */
	PM_TAKEN_OVER,				/* came alive from another account */
	PM_GIVEN_OVER,				/* went alive to another account */
	PM_ENDED_CLIENT,			/* the client said goodbye */
	PM_ENDED_ABANDONED,			/* the client vanished */
	PM_ENDED_FATAL,				/* an error ended it */
	PM_ENDED_KILLED,			/* an administrator, or the shutdown */
	PM_RETIRED,					/* pool_monitor asked it to */
	PM_ENDED_LOST,				/* a crash: when and how is not known */
	PM_DECLINED,				/* asked to retire, and did not */
	PM_REJECTED,				/* authenticated, then not admitted */
	PM_REFUSED,					/* no slot was free */
	PM_AUTH_FAILURES,			/* not authenticated */
	PM_TRANSACTIONS,
	PM_NUM_COUNTERS
} PmCounter;

/* What the history keeps of the counters, for each bucket. */
typedef enum PmKept
{
	PM_KEPT_CONNECTS,
	PM_KEPT_ENDS,				/* of all kinds */
	PM_KEPT_REFUSED,
	PM_KEPT_RETIRED,
	PM_KEPT_TRANSACTIONS,
	PM_NUM_KEPT
} PmKept;

/* What is looked through to find an account: apart, to be close together. */
typedef struct PmAccountKey
{
	pg_atomic_uint64 place;		/* see place.h; a pool's is opened by the
								 * loader and closed by the worker, both under
								 * lock */
	uint32		hash;			/* of the name; set before READY */
} PmAccountKey;

/* A peak and its moment in one word; 0: none. See pm_peak_at(). */
#define PM_PEAK_BITS	20
#define PM_PEAK_COUNT(word)	((int) ((word) & ((1 << PM_PEAK_BITS) - 1)))

#define PM_MOST_JUDGED	4		/* login roles of one pool at a time */

/* What is normal, as an average: storms.c. */
typedef struct PmNormal
{
	double		rate;			/* connects a second */
	int			windows;		/* that it is made of */
} PmNormal;

/*
 * How a login role's clients answer the retirements of its sessions: pauses.c. The
 * worker's, but for the first two: a session that begins reads the role, and counts
 * itself, without a lock. Who begins while the place changes hands may be counted
 * for the one before. Who else reads takes each word as it is.
 */
typedef struct PmJudged
{
	pg_atomic_uint32 role;		/* invalid: the place is free */
	pg_atomic_uint64 connects;	/* never set back */

	int64		paused_until;	/* 0: not paused */
	bool		storm;			/* in one of its own */
	bool		learning;		/* not retired until it is known what is
								 * normal */

	PmNormal	normal;			/* where no answer is awaited, and of good
								 * ones */
	int64		calm_since;		/* since when none is awaited, unless watched */
	uint32		answers;		/* the last ones, the latest in bit 0; 1: bad */
	int64		judged_at;
	int64		watched_since;	/* evidence since then; 0: none */
	uint64		connects_before;	/* of it */
	int64		by_hand_before;
	int			lost;			/* its sessions retired on schedule since then */
} PmJudged;

/*
 * How a pool's scheduled retirement goes; times in ms of the monotonic clock. It
 * stays with the account, so that a pool that is declared anew keeps its pace.
 */
typedef struct PmPace
{
	int64		last_retired;	/* on schedule, or the question put; 0: none */
	int64		gap;			/* that was kept then */
	int64		scheduled;		/* sessions that were retired on schedule */
	PmJudged	judged[PM_MOST_JUDGED];
} PmPace;

typedef struct PmAccount
{
	/* written under lock (a pool's), or by who claimed it (an application's) */
	char		name[PM_NAME_LEN];
	uint32		incarnation;	/* of its place; moves when it is opened */

	/* atomics, no lock; never set back */
	pg_atomic_uint64 counters[PM_NUM_COUNTERS];
	pg_atomic_uint64 declines[PM_MOST_REASONS]; /* PM_DECLINED by PmReason */
	pg_atomic_uint64 busy;		/* us in transactions that were folded */
	pg_atomic_uint64 lifetimes[PM_BUCKETS];
	pg_atomic_uint64 holds[PM_BUCKETS];
	pg_atomic_uint64 lifetime_max;	/* us */
	pg_atomic_uint64 hold_max;	/* us */

	/*
	 * The sessions that are there, and the sum of ends less begins in us of
	 * the monotonic clock: together the exact time that connections were
	 * open. Changed between begun and done, so that a reader knows whether
	 * the two fit: see pm_account_open_time().
	 */
	pg_atomic_uint64 moves_begun;
	pg_atomic_uint64 moves_done;
	pg_atomic_uint32 connections;
	pg_atomic_uint64 open_time;

	pg_atomic_uint64 peak;		/* PM_PEAK_...: since stats_reset */
	pg_atomic_uint32 tick_peak; /* since the last tick */

	pg_atomic_uint64 last_used; /* ms, monotonic; 0: not since the start */
	pg_atomic_uint32 near_declared; /* it and a declared pool exchanged a
									 * session */

	/* the worker's alone, but for what PmJudged says */
	uint64		in_history[PM_NUM_KEPT];	/* of the counters */
	uint64		merged[PM_NUM_COUNTERS];	/* of them: not counted here, but
											 * added from elsewhere */
	PmPace		pace;

	/* protected by lock: what stats_reset left out of the account */
	TimestampTz stats_reset;
	int64		claimed_at;		/* ms, monotonic: when it was seen CLAIMED; 0:
								 * it was not. Cleared by who had claimed it */
	int64		dropped_at;		/* ms, monotonic: since when a pool's account
								 * is of none that is declared; 0: it is */
	int64		observed_before;	/* us of earlier runs of the server */
	int64		observed_since; /* us, monotonic: begin of this run's part */
	uint64		base[PM_NUM_COUNTERS];	/* to be subtracted */
	uint64		base_declines[PM_MOST_REASONS];
	int64		base_busy;
} PmAccount;

/* One account at one moment, as the views show it: since stats_reset. */
typedef struct PmFigures
{
	char		name[PM_NAME_LEN];
	int			connections;
	uint64		counters[PM_NUM_COUNTERS];
	uint64		declines[PM_MOST_REASONS];
	int64		busy;			/* us, without open transactions */
	int64		observed;		/* us */
	uint64		not_in_history[PM_NUM_KEPT];
	int			peak;
	TimestampTz peak_at;		/* 0: never a connection */
	TimestampTz stats_reset;
	int64		lifetime_max;
	int64		hold_max;
	uint64		lifetimes[PM_BUCKETS];
	uint64		holds[PM_BUCKETS];
} PmFigures;

/* Layout of the array: pools, applications, then these. */
extern int	pm_num_accounts(void);
extern int	pm_first_application(void);
extern int	pm_other_account(void);
extern int	pm_undeclared_account(void);
extern int	pm_server_account(void);

extern Size pm_accounts_size(void);
extern void pm_accounts_init(void *memory);
extern bool pm_account_ready(int account);
extern uint32 pm_account_incarnation(int account);
extern bool pm_account_is_application(int account);

/* No lock, no allocation, no error: also for processes without PGPROC. */
extern PmPlace pm_account_of(const PmIdentity *who, bool admitted, bool *echo);
extern PmPlace pm_application_account(const char *name, bool admitted);
extern int	pm_account_hold(PmPlace place);
extern void pm_account_let_go(int account);
extern void pm_account_count(PmPlace place, PmCounter counter);
extern void pm_account_add(int account, PmCounter counter, int64 n);
extern void pm_account_add_busy(int account, int64 us);
extern int	pm_account_begin(PmPlace place);
extern void pm_account_weigh_refusal(void);
extern void pm_account_note_role(int account, Oid role);
extern void pm_account_end(int account, PmCounter how, int64 lifetime);
extern int	pm_account_move(int from, PmPlace to, int64 open);
extern void pm_account_raise(pg_atomic_uint64 *max, uint64 value);
extern uint64 pm_account_kept(int account, PmKept which);
extern uint64 pm_account_counted(int account, PmCounter which);
extern bool pm_account_open_time(int account, int64 now, int64 *open_time, int *connections);
extern void pm_account_take_tick_peak(int account, int *peak);
extern TimestampTz pm_peak_at(uint64 word);
extern uint64 pm_peak_word(int count, TimestampTz at);

/* Caller holds lock exclusively. */
extern int	pm_account_for_pool(const char *name);
extern void pm_account_reset(int account, int64 open_busy, int64 now);
extern bool pm_account_close(int account);
extern void pm_accounts_tidy(int64 now_ms);
extern int	pm_account_for_application(const char *name);

/* The worker's; takes lock. */
extern bool pm_accounts_make_room(int64 now_ms, int *held);

/* Takes lock, unless told that nobody else is left. */
extern bool pm_account_figures(int account, PmFigures *figures, bool lock);
extern int	pm_account_merge(int account, const PmFigures *figures);

/* For figures.c alone. */
extern void pm_account_init(PmAccount *account);
extern PmPlace pm_account_open(int i, const char *name);
extern uint32 pm_account_hash(const char *name);
extern void pm_account_raise_peak(PmAccount *account, int connections, TimestampTz at);
extern void pm_account_raise_tick_peak(PmAccount *account, uint32 connections);

#endif							/* PM_ACCOUNT_H */
