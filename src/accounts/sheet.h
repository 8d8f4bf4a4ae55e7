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
 */
#ifndef PM_SHEET_H
#define PM_SHEET_H

#include "accounts/counters.h"
#include "accounts/place.h"
#include "base/histogram.h"
#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "storage/lwlock.h"

typedef struct PmSheet
{
	/*
	 * In the tranche "pool_monitor"; innermost of all. Held for additions,
	 * never across anything that waits or raises.
	 */
	LWLock		lock;

	/*
	 * Written by the session alone, each in one piece; hold_max first,
	 * transactions last. Read by everybody: a reader may see a transaction
	 * half written down, and then finds the other half the next time.
	 */
	volatile uint32 transactions;
	volatile int64 busy;		/* us in transactions that have ended */
	volatile TimestampTz last_end;	/* of a transaction, or of the login */
	volatile int64 wall_ahead;	/* us, wall less monotonic clock at that time */
	volatile int64 hold_max;	/* us */
	volatile uint64 octaves;	/* bit n: there is something in octave n */
	volatile uint32 holds[PM_BUCKETS];

	/* protected by lock */
	bool		begun;			/* a session is there; it is in account */
	int64		begun_at;		/* us, monotonic */
	int			account;
	uint32		added_transactions;
	int64		added_busy;
	uint32		added_holds[PM_BUCKETS];
} PmSheet;

extern PmSheet *pm_sheets;		/* MaxBackends, by slot */
extern const PmSection pm_sheets_section;

extern int	pm_sheet_begin(PmSheet *sheet, PmPlace place);
extern void pm_sheet_add(PmSheet *sheet);
extern void pm_sheet_end(PmSheet *sheet, PmPlace place, PmCounter how, int64 lifetime, char *name);
extern int64 pm_hold_until(const PmSheet *sheet, TimestampTz start, TimestampTz now, int64 at);

#endif							/* PM_SHEET_H */
