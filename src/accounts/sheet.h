/*
 * sheet.h
 *		What each session counts for itself.
 *
 * Every slot has a sheet. The session that owns the slot writes down its
 * transactions there, without atomics and without a lock; whoever wants the
 * accounts to be up to date (the worker at every tick, a view, the session
 * itself when it ends) adds what is new on a sheet to the account that the
 * session is in. What is on a sheet only grows, from session to session, and
 * what was added of it is noted beside it.
 *
 * How often it held for how long is counted in blocks, of an octave of the histogram
 * each, because a session has few different ones between two looks. The session takes
 * a block when it needs one. When all are taken it adds everything to its account
 * itself, under the sheet's lock, after which there is nothing in them that anybody
 * still has to read, and takes the first one again.
 */
#ifndef PM_SHEET_H
#define PM_SHEET_H

#include "accounts/counters.h"
#include "accounts/place.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "storage/lwlock.h"

/* A cache line: so much an idle session costs who looks for what is new. */
typedef struct PmSheet
{
	/*
	 * Written by the session alone, each in one piece; hold_max first,
	 * transactions last. Read by everybody: a reader may see a transaction
	 * half written down, and then finds the other half the next time. What
	 * was added is protected by lock.
	 */
	volatile uint32 transactions;
	uint32		added_transactions;
	volatile int64 busy;		/* us in transactions that have ended */
	int64		added_busy;
	volatile TimestampTz last_end;	/* of a transaction, or of the login */
	volatile int64 wall_ahead;	/* us, wall less monotonic clock at that time */
	volatile int64 hold_max;	/* us */

	/* protected by lock */
	int64		begun_at;		/* us, monotonic */
	int			account;
	bool		begun;			/* a session is there; it is in account */

	/* the session's; set back under lock only */
	volatile uint8 nblocks;		/* of PmHolds that are taken: the first ones */
} PmSheet;

/* How often, in each bucket of an octave; and what of that was added. */
typedef struct PmHoldBlock
{
	volatile uint32 now[PM_OCTAVE_BUCKETS]; /* the session's */
	uint32		added[PM_OCTAVE_BUCKETS];	/* protected by lock */
} PmHoldBlock;

#define PM_HOLD_BLOCKS	7

typedef struct PmHolds
{
	volatile uint8 octaves[PM_HOLD_BLOCKS]; /* whose the blocks are: set
											 * before nblocks says that they
											 * are taken */
	PmHoldBlock blocks[PM_HOLD_BLOCKS];
} PmHolds;

extern PmSheet *pm_sheets;		/* MaxBackends, by slot */
extern const PmSection pm_sheets_section;

/*
 * In the tranche "pool_monitor"; innermost of all. Held for additions, never across
 * anything that waits or raises.
 */
extern LWLock *pm_sheet_lock(const PmSheet *sheet);

extern int	pm_sheet_begin(PmSheet *sheet, PmPlace place, int seat, int64 setup);
extern void pm_sheet_write(PmSheet *sheet, int64 hold);
extern void pm_sheet_add(PmSheet *sheet);
extern int	pm_sheet_move(PmSheet *sheet, PmPlace place, int64 open);
extern void pm_sheet_end(PmSheet *sheet, PmPlace place, PmCounter how, int64 lifetime, char *name);
extern int64 pm_hold_over_step(TimestampTz last_end, TimestampTz start, TimestampTz now, int64 step);

/*
 * How long a transaction that claims this start has held the connection until now,
 * which is "at" by the monotonic clock: never since before the last one ended. Where the wall
 * clock was set meanwhile, as exact as the monotonic stamps are. No lock; 0 as the start is
 * that end.
 */
static inline int64
pm_hold_until(const PmSheet *sheet, TimestampTz start, TimestampTz now, int64 at)
{
	TimestampTz last_end = sheet->last_end;
	int64		step = now - at - sheet->wall_ahead;

	if (likely(step > -PM_CLOCK_STEP && step < PM_CLOCK_STEP))
		return Max(now - Max(start, last_end), 0);
	return pm_hold_over_step(last_end, start, now, step);
}

#endif							/* PM_SHEET_H */
