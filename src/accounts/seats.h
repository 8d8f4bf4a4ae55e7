/*
 * seats.h
 *		The places of the guard: how many each pool has taken, and how many of the part of
 *		the server that is anybody's. Called seats here, because a place is something else
 *		in this folder.
 *
 * Every login takes a seat when it is authenticated, guard or not, and gives it back when
 * its process ends; a session that goes to another account takes its seat along. So the
 * count is exact at any moment: sessions that have begun, and logins on their way.
 *
 * All that decides whether a login fits its pool is in one word, and moves by
 * compare-and-exchange: a login that has read an old limit fails to move it. The first
 * "reserved" seats of a pool are its own; each one above takes one of the shared part, too,
 * which is a word of its own:
 *
 *		used = sum of what each pool has above its reserve
 *
 * whenever nobody is in between. Who is in between has one shared seat at most, and does not
 * know yet whether he needs it where he goes: he is "deciding", and who finds the shared part
 * full then looks again, for half a second if he must, before he says so. Till then used errs
 * upwards, as it does when terms change.
 *
 * Atomics only, but for the sections of the worker: no lock, no allocation, no error. Nobody waits who finds a seat.
 */
#ifndef PM_SEATS_H
#define PM_SEATS_H

#include "base/guardmode.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"

/* held 20 bits, reserved 20, limit 20, mode 2, superusers 1 */
#define PM_SEAT_NONE	0xFFFFF /* no limit */
#define PM_SEAT_WORD(held, reserved, limit, mode, superusers) \
	((uint64) (held) | ((uint64) (reserved) << 20) | ((uint64) (limit) << 40) | \
	 ((uint64) (mode) << 60) | ((uint64) (superusers) << 62))
#define PM_SEAT_HELD(word)			((int) ((word) & 0xFFFFF))
#define PM_SEAT_RESERVED(word)		((int) (((word) >> 20) & 0xFFFFF))
#define PM_SEAT_LIMIT(word)			((int) (((word) >> 40) & 0xFFFFF))
#define PM_SEAT_MODE(word)			((PmGuardMode) (((word) >> 60) & 3))
#define PM_SEAT_SUPERUSERS(word)	((bool) (((word) >> 62) & 1))

/*
 * used 20 bits, deciding 24, total 20. Each of 262143 processes at most has one that is used,
 * and decides once; as many again are used while terms change.
 */
#define PM_SHARED_NONE	0xFFFFF /* no limit */
#define PM_SHARED_TOTAL_SHIFT		44
#define PM_SHARED_USED(word)		((int) ((word) & 0xFFFFF))
#define PM_SHARED_DECIDING(word)	((int) (((word) >> 20) & 0xFFFFFF))
#define PM_SHARED_TOTAL(word)		((int) ((word) >> PM_SHARED_TOTAL_SHIFT))
#define PM_ONE_DECIDES				((uint64) 1 << 20)

/* What a pool's guard goes by. */
typedef struct PmSeatTerms
{
	PmGuardMode mode;
	int			limit;			/* -1: none */
	int			reserved;		/* in force */
	int			tried_out;		/* reserved, if all reserves were in force
								 * that are declared */
	int			base;			/* up to here rate does not count */
	int			rate;			/* a second; 0: any */
	int			burst;
	bool		superusers;		/* are not exempt */
} PmSeatTerms;

typedef enum PmSeatVerdict
{
	PM_SEAT_FITS,				/* it is taken */
	PM_SEAT_POOL_FULL,
	PM_SEAT_SHARED_FULL,
	PM_SEAT_TOO_FAST
} PmSeatVerdict;

/* What it was decided by; shared only where that was PM_SEAT_SHARED_FULL. */
typedef struct PmSeatSeen
{
	uint64		word;
	uint64		pace;
	uint64		shared;
} PmSeatSeen;

/* Of one pool, or of all that is undeclared. A cache line. */
typedef struct PmSeat
{
	pg_atomic_uint64 word;		/* PM_SEAT_WORD() */
	pg_atomic_uint64 pace;		/* rate 20 bits, burst 20, base 20 */
	pg_atomic_uint64 due;		/* us, monotonic: when the bucket is full
								 * again; see take_token() */
	pg_atomic_uint64 guarded_at;	/* TimestampTz: of the last that did not
									 * fit; 0: none */
	pg_atomic_uint64 wanted_at; /* ms, monotonic: the last login of a pool
								 * that was refused for want of a seat; 0:
								 * none since one was freed for it; see
								 * retire/yield.c */
	pg_atomic_uint64 told_at;	/* ms, monotonic: the last log line */
	pg_atomic_uint32 untold;	/* refused since then */
	pg_atomic_uint32 peak;		/* of held, since its terms were changed */
	pg_atomic_uint32 tried_out;
	pg_atomic_uint32 disarmed;	/* by the worker: the count was wrong */
} PmSeat;

typedef struct PmSeats
{
	pg_atomic_uint64 shared;
	pg_atomic_uint32 changes;	/* of declarations: moved before they are in
								 * force */
	pg_atomic_uint32 settled;	/* of these: all sessions are where they
								 * belong since, and the terms are theirs */
	pg_atomic_uint64 watched_at;	/* ms, monotonic: by the worker */
	pg_atomic_uint32 tried_out; /* the shared part if all reserves were in
								 * force; PM_SHARED_NONE: no more of them are
								 * declared */
	pg_atomic_uint64 terms_of;	/* the generation of the declarations that the
								 * terms are of; 0: of none yet */
	pg_atomic_uint32 unfit;		/* reserves that do not fit this server: their
								 * sum, 0: none */
	pg_atomic_uint64 shared_since;	/* TimestampTz: shared's total; 0: of the
									 * start */
	pg_atomic_uint64 trial_since;	/* likewise: tried_out */
	PmSeat	   *all;			/* pm_num_seats() */
	pg_atomic_uint64 *since;	/* likewise: TimestampTz, of its terms */
	pg_atomic_uint32 *entering; /* MaxBackends: the seat, and 1, of a login on
								 * its way; 0: none. Its own process writes */
} PmSeats;

extern PmSeats *pm_seats;
extern const PmSection pm_seats_section;

/* For the module of the tests that forges what is in there. */
extern PGDLLEXPORT PmSeats *pm_seats_memory(void);

extern int	pm_num_seats(void);
extern int	pm_undeclared_seat(void);
extern int	pm_seat_of(int account);

/* Of a login, or of a session. */
extern PmSeatVerdict pm_seat_enter(int seat, PmSeatSeen *seen);
extern bool pm_seat_enter_above(int seat, PmSeatSeen *seen);
extern void pm_seat_enter_anyway(int seat);
extern void pm_seat_leave(int seat);
extern void pm_seat_give_up(int seat);
extern void pm_seat_move(int from, int to);
extern bool pm_seat_would_not_fit(int seat);
extern uint32 pm_seats_settled(void);
extern bool pm_seats_in_force(uint32 settled);
extern int	pm_seat_shared_part(uint64 word);

/* In seatterms.c: the worker's, but for the first two: under pm_accounts->lock, and by who frees an account. */
extern void pm_seats_change(void);
extern void pm_seat_forget(int seat);
extern void pm_seat_set_terms(int seat, const PmSeatTerms *terms);
extern void pm_seats_set_shared(int total, int tried_out);
extern void pm_seat_correct(int seat, int surplus);
extern void pm_shared_correct(int surplus);

/* For this folder alone. */
extern void pm_shared_take_off(int n);
extern void pm_shared_decide(bool begin);
extern void pm_seat_note_peak(PmSeat *seat, uint32 held);

#endif							/* PM_SEATS_H */
