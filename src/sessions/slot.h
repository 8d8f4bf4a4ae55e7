/*
 * slot.h
 *		What a client's process tells of its session, and the question whether
 *		that may be retired.
 */
#ifndef PM_SLOT_H
#define PM_SLOT_H

#include "base/reason.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "sessions/session.h"
#include "storage/lwlock.h"

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
 * the answer to another question. [asker] is the clean-up in the worker or a
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
	struct PGPROC *proc;		/* its process's, which stays where it is */
	int64		begun_at;		/* us, monotonic: when it was authenticated */
	volatile int64 used_at;		/* us, monotonic: end of the last transaction
								 * of its client, in one piece */
	volatile bool only_reports; /* since used_at its client's pool has
								 * reported, and done nothing else */
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

typedef struct PmSlots
{
	/*
	 * EXCLUSIVE: to check that a slot is still the vetted session's and to
	 * signal its process. SHARED: by an exiting backend, to give its slot up.
	 * So a process that is signalled under it exists, and is the one that
	 * claimed the slot. Held for a check and one kill().
	 */
	LWLockPadded ask_lock;

	pg_atomic_uint64 ticket;	/* last one given to a question */
	PmSlot		all[FLEXIBLE_ARRAY_MEMBER]; /* MaxBackends */
} PmSlots;

extern PmSlots *pm_slots;
extern const PmSection pm_slots_section;

/* For a module of the tests, which forges what is in there. No SQL can call it. */
extern PGDLLEXPORT PmSlots *pm_slots_memory(void);

extern bool pm_slot_is(const PmSession *session);
extern bool pm_slot_names(const PmSession *session, char *datname, char *usename);
extern Oid	pm_slot_role(const PmSession *session);
extern bool pm_slot_only_reports(const PmSession *session, int64 *used_at);
extern bool pm_slot_stamps(const PmSession *session, int64 *begun_at, int64 *used_at);
extern uint64 pm_slot_identity(const PmSession *session);
extern uint32 pm_slot_wait(const PmSession *session);
extern uint64 pm_names_identity(const char *datname, const char *usename);

#endif							/* PM_SLOT_H */
