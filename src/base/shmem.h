/*
 * shmem.h
 *		What lives in shared memory, and who may touch it how.
 *
 * Locks (all in the tranche "pool_monitor"; never two of them together):
 *
 *	lock		protects what PmShared marks with it. Held for a memcpy, a few
 *				comparisons (when changed declarations are put in force, of each
 *				new name with the old ones); never across a call that can wait or
 *				raise.
 *	history_lock	protects PmHistory. Held for one tick's additions, or for
 *				copying one series; never across a call that can wait or raise.
 *	events_lock	protects the ring of events. Held for a few copies of an event, and a
 *				look at each share and stretch (events.c).
 *	PmSheet.lock	one for each slot: see settle.h.
 *	ask_lock	EXCLUSIVE: to check that a slot is still the vetted session's and
 *				to signal its process. SHARED: by an exiting backend, to give its
 *				slot up. So a process that is signalled under it exists, and is
 *				the one that claimed the slot. Held for a check and one kill().
 */
#ifndef PM_SHMEM_H
#define PM_SHMEM_H

#include "accounts/account.h"
#include "events/events.h"
#include "history/history.h"
#include "pools/rules.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "worker/errands.h"

/*
 * The question whether one session may be retired, in PmSlot.request:
 *
 *	 NONE <-----------------------------------------+
 *		  |      ^                                      |
 *		  |      | withdraw [asker]                     | read [asker]
 *		  | ask  |                                      |
 *		  v [asker]            yes [handler]            |
 *		 ASKED --------------------------------> RETIRING (read when it is gone)
 *		  |     no [handler], gone [release]            |
 *		  +------------------------------------> DECLINED
 *
 * The word holds the asker's ticket, the state and the reason of a decline, so
 * that each move is one compare-and-exchange, and an answer is never taken for
 * the answer to another question. [asker] is the recycler in the worker or a
 * backend in recycle(); it moves to ASKED under ask_lock only, from NONE, or when
 * the question or answer there was abandoned, and never while the same session is
 * RETIRING. [handler] is the SIGUSR2 handler of the slot's own backend,
 * [release] its exit. An answer stays for its asker to read, also after the
 * session is gone and the slot belongs to another.
 */
typedef enum PmRequestState
{
	PM_REQUEST_NONE,
	PM_REQUEST_ASKED,
	PM_REQUEST_RETIRING,
	PM_REQUEST_DECLINED
} PmRequestState;

/* ms; a question older than this was abandoned by an asker that died */
#define PM_ABANDONED_AFTER 10000

#define PM_REQUEST(ticket, state, reason) \
	(((uint64) (ticket) << 16) | ((uint64) (state) << 8) | (uint64) (reason))
#define PM_REQUEST_TICKET(word)	((word) >> 16)
#define PM_REQUEST_STATE(word)	((PmRequestState) (((word) >> 8) & 0xFF))
#define PM_REQUEST_REASON(word)	((PmReason) ((word) & 0xFF))

/*
 * Why a session is not retired. Up to PM_REASON_PROTECTED the asker finds out
 * from outside (some of it the backend once more); then come the backend's own
 * answers; then what became of the question. Texts: pm_reason_text().
 */
typedef enum PmReason
{
	PM_REASON_NONE,				/* nothing speaks against it */
	PM_REASON_NO_POOL,
	PM_REASON_DISABLED,
	PM_REASON_MODE_OFF,
	PM_REASON_MODE_REPORT,
	PM_REASON_LOADING,
	PM_REASON_WINDOW,
	PM_REASON_PAUSED,
	PM_REASON_LIMIT,
	PM_REASON_TURN,
	PM_REASON_NEVER,
	PM_REASON_NOT_OVER_AGE,
	PM_REASON_MARGIN,
	PM_REASON_STATE_UNKNOWN,
	PM_REASON_BUSY,
	PM_REASON_IN_TRANSACTION,
	PM_REASON_GRACE,
	PM_REASON_CALLER,
	PM_REASON_SUPERUSER,
	PM_REASON_PROTECTED,
	/* the backend's own */
	PM_REASON_OTHER_SESSION,
	PM_REASON_LATE,
	PM_REASON_NOT_WAITING,
	PM_REASON_MESSAGE,
	PM_REASON_UNREAD,
	PM_REASON_USED,
	PM_REASON_SESSION_LOCK,
	PM_REASON_TEMP_SCHEMA,
	PM_REASON_LISTENING,
	PM_REASON_BACKUP,
	PM_REASON_REPLICATION_SLOT,
	PM_REASON_HELD_CURSOR,
	PM_REASON_ROLE_CHANGED,
	/* about the question */
	PM_REASON_GONE,
	PM_REASON_ASKED_ALREADY,
	PM_REASON_NO_HANDLER,
	PM_REASON_NO_ANSWER,
	/* from outside again; the file of statistics keeps the order */
	PM_REASON_NO_SLOT
} PmReason;

#define PM_NUM_REASONS (PM_REASON_NO_SLOT + 1)

/*
 * One for each possible backend, at its index in the backend status array.
 * Claimed by a client backend once it is authenticated, given up when it
 * exits; see session.c. Everything down to usename has the backend as its only
 * writer and, but for the atomics and used_at, does not change while pid is set.
 * Readers in other processes check pid and backend_start after a read barrier,
 * again after copying.
 *
 * A session's age and idle time are by the younger of the two clocks: one that is
 * set makes nobody old. The monotonic one stands still while the machine is
 * suspended, so that it errs on the safe side.
 */
typedef struct PmSlot
{
	pg_atomic_uint32 pid;		/* 0: free. Set last, cleared first */
	pg_atomic_uint32 listening; /* does it LISTEN? Errs on the side of yes */
	pg_atomic_uint32 role;		/* that it began with; invalid before that */
	TimestampTz backend_start;	/* as in the backend status entry */
	int64		begun_at;		/* us, monotonic: when it was authenticated */
	volatile int64 used_at;		/* us, monotonic: end of the last transaction
								 * of its client, in one piece */
	uint64		identity;		/* hash of the two names */
	char		datname[NAMEDATALEN];	/* as the client logged in */
	char		usename[NAMEDATALEN];

	pg_atomic_uint64 request;	/* PM_REQUEST(), the picture above */
	/* written by the asker under ask_lock before request becomes ASKED */
	TimestampTz asked_backend_start;
	int64		asked_min_age;	/* us that it must be older than; -1: any */
	int64		asked_min_idle; /* us that the session must have been idle */
	int64		asked_at;		/* ms, pm_monotonic_ms() */

	/* the worker's alone, in a free slot too */
	TimestampTz leak_told;		/* begin of a transaction that was told of */
	TimestampTz declined_start; /* of the last session that declined */
	int64		declined_at;	/* ms, pm_monotonic_ms() */
	PmReason	declined_reason;
} PmSlot;

/* What the sampler remembers of a pool; protected by lock. */
typedef struct PmPoolState
{
	PmStatus	status;
	TimestampTz status_since;	/* 0: not sampled yet */
} PmPoolState;

/* How the last load of the declarations ended. */
typedef enum PmLoadResult
{
	PM_LOAD_NEVER,
	PM_LOAD_OK,
	PM_LOAD_NO_DATABASE,
	PM_LOAD_NO_EXTENSION,
	PM_LOAD_NO_WORKER_SLOT,
	PM_LOAD_FAILED
} PmLoadResult;

#define PM_LOAD_MESSAGE_LEN 256

/* Of the process that does errands; who moves it, and when: errands.c. */
typedef enum PmErrandStage
{
	PM_ERRANDS_ABSENT,
	PM_ERRANDS_WAITING,
	PM_ERRANDS_ASKED,
	PM_ERRANDS_RUNNING
} PmErrandStage;

/* Protected by lock. */
typedef struct PmErrands
{
	PmErrandStage stage;
	uint64		incarnation;	/* of the process; so its errand's number */
	pid_t		pid;			/* 0: absent */
	Latch	   *latch;			/* its own */
	int64		since;			/* ms, monotonic: absent, waiting or asked */
	PmErrandKind kind;
	Oid			database;
	uint64		ticket;			/* of a load */
} PmErrands;

/* Without a lock: for the log hook, see logins.c. */
typedef struct PmErrandWords
{
	pg_atomic_uint32 orderly_exits; /* whose callbacks have run */
	uint32		hidden_exits;	/* the postmaster's: of these, at the last one
								 * that it kept out of the log */
	char		fatal[PM_LOAD_MESSAGE_LEN]; /* what ended the last one;
											 * written by itself, read when it
											 * is gone */
} PmErrandWords;

/* Declarations, in matching order, each with its account; max_pools of both. */
typedef struct PmRuleSet
{
	int			npools;
	PmPool	   *pools;
	int		   *accounts;
} PmRuleSet;

/* In PmShared.no_place: an application whose login was admitted, or was not. */
#define PM_NO_PLACE_ADMITTED	1
#define PM_NO_PLACE_FAILED		2

/* Seconds with refusals by half a full server that make it a full one: pauses.c. */
#define PM_HALF_SAMPLES 3

/* What the refused logins of the last time say; times in ms, monotonic, 0: never. */
typedef struct PmRefusals
{
	uint32		full;			/* what the counters were at the last look */
	uint32		half;
	int64		last_full;		/* a login was refused by a full server */
	int64		half_at[PM_HALF_SAMPLES];	/* by one that logins may have
											 * filled: the last seconds with
											 * such ones */
	int			half_next;		/* the oldest of them */
	int64		looked_at;
	int64		hour_begin;
	int64		hour_paused;	/* ms for their sake, since then */
} PmRefusals;

typedef struct PmShared
{
	LWLock	   *lock;
	LWLock	   *ask_lock;
	LWLock	   *history_lock;
	LWLock	   *events_lock;

	/* atomics: no lock */
	pg_atomic_uint64 worker_latch;	/* a Latch *, 0 while no worker runs */
	pg_atomic_uint64 generation;	/* moves when pools changes */
	pg_atomic_uint64 load_requested;	/* tickets for the loader */
	pg_atomic_uint64 ticket;	/* last one given to a retire request */
	pg_atomic_uint32 resets;	/* of accounts: holds.c */
	pg_atomic_uint32 rules_version; /* its parity: the set in force */
	pg_atomic_uint32 no_place;	/* PM_NO_PLACE_...: somebody found none */
	pg_atomic_uint32 given_up;	/* applications whose sums went to (other) */
	pg_atomic_uint32 refused_full;	/* logins, while nearly all slots were
									 * sessions */
	pg_atomic_uint32 refused_half;	/* while half of them were */
	pg_atomic_uint32 save_wanted;	/* the statistics, soon */

	/* protected by lock */
	uint64		load_done;		/* highest ticket dealt with */
	PmLoadResult load_result;
	int			load_declared;	/* rows in the table at the last good load */
	Oid			load_database;	/* where the last good load read, or invalid */
	Oid			load_table;		/* and which table */
	char		load_message[PM_LOAD_MESSAGE_LEN];	/* when it failed */

	/*
	 * Protected by lock; but the set in force is read without it, see
	 * account.c, and does not change, but for the account that the worker
	 * gives to a pool that had found no place: one aligned store.
	 */
	PmRuleSet	rule_sets[2];
	PmPoolState *states;		/* and as many again, for replace_pools() */
	PmErrands	errands;
	PmErrandWords errand_words;

	/* the errands' process alone: why NOTIFY failed, empty: it did not */
	char		notify_message[PM_LOAD_MESSAGE_LEN];

	/* the worker's alone */
	bool		statistics_loaded;	/* the file was read, or set aside */
	bool		applications_full;	/* that was said, of this crowd */
	int64		crowded_until;	/* ms, monotonic: places are kept free */
	int64		next_save;		/* ms, monotonic; 0: not set yet */
	PmRefusals	refusals;		/* pauses.c */
	bool		refusing;		/* so that scheduled retirement pauses */
	int64		interval_begin; /* of scheduled retirement; ms, monotonic */
	int			interval_retired;	/* on schedule, since then */

	/* each has its own rules, see there */
	PmSlot	   *slots;			/* MaxBackends */
	struct PmSheet *sheets;		/* MaxBackends */
	PmAccountKey *account_keys; /* pm_num_accounts() */
	PmAccount  *accounts;		/* pm_num_accounts() */
	PmHistory  *history;
	PmEvents   *events;
} PmShared;

/* NULL where the library was not preloaded */
extern PmShared *pm_shared;

/* Caller holds lock. */
static inline PmRuleSet *
pm_rules_in_force(void)
{
	return &pm_shared->rule_sets[pg_atomic_read_u32(&pm_shared->rules_version) % 2];
}

extern PGDLLEXPORT PmShared *pm_shared_memory(void);
extern void pm_shmem_install(void);
extern void pm_require_preload(void);
extern const char *pm_reason_text(PmReason reason);
extern bool pm_reason_lasts(PmReason reason);

/*
 * The declarations as this process last saw them. Valid until the next call
 * of pm_rules_current(); npools is 0 where the library was not preloaded.
 */
typedef struct PmRules
{
	uint64		generation;
	int			npools;
	bool		by_client_addr; /* does any pool ask for an address? */
	bool		by_login;		/* for a database or role? */
	PmPool	   *pools;
	int		   *accounts;		/* of each pool */
	uint32	   *incarnations;	/* of these */
} PmRules;

extern const PmRules *pm_rules_current(void);
extern bool pm_states_copy(const PmRules *rules, PmPoolState *states);
extern bool pm_rules_publish(uint64 ticket, const PmPool *pools, int npools, int declared, Oid table);

/*
 * Are the declarations in force at least those that were committed when this
 * ticket was the last one? If not, either a load is to come (PENDING) or the last
 * one failed, and nothing may be retired.
 */
typedef enum PmLoadState
{
	PM_DECLARATIONS_CURRENT,
	PM_DECLARATIONS_PENDING,
	PM_DECLARATIONS_FAILED
} PmLoadState;

extern PmLoadState pm_load_state(uint64 ticket);
extern const char *pm_load_hint(PmLoadResult result);
extern void pm_load_watch(Oid *database, Oid *table);
extern void pm_warn_if_never_loaded(void);
extern void pm_request_load(void);
extern void pm_wake_worker(void);

#endif							/* PM_SHMEM_H */
