/*
 * settle.c
 *		From the sessions' sheets to the accounts.
 *
 * A session is in the account that its names matched when it began. It goes to
 * another one when they match another pool by now, because it changed its
 * application_name or somebody changed the declarations: whoever settles it
 * sees to that, and the session itself when it ends.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "client/session.h"
#include "sessions/settle.h"

void
pm_sheet_init(PmSheet *sheet, int tranche)
{
	memset(sheet, 0, sizeof(*sheet));
	LWLockInitialize(&sheet->lock, tranche);
}

/* Caller holds the sheet's lock. Adds what is new to the account. */
static void
add_holds(PmSheet *sheet)
{
	PmAccount  *account = &pm_shared->accounts[sheet->account];
	uint64		octaves = sheet->octaves;
	int			top = -1;

	while (octaves != 0)
	{
		int			first = pg_rightmost_one_pos64(octaves) * PM_OCTAVE_BUCKETS;

		octaves &= octaves - 1;
		for (int i = first; i < first + PM_OCTAVE_BUCKETS; i++)
		{
			uint32		now = sheet->holds[i];
			int32		new = (int32) (now - sheet->added_holds[i]);

			if (new == 0)
				continue;
			pg_atomic_fetch_add_u64(&account->holds[i], new);
			sheet->added_holds[i] = now;
			if (new > 0)
				top = i;
		}
	}

	/* the session's longest may be of another account, before it came here */
	if (top >= 0)
		pm_account_raise(&account->hold_max,
						 pm_bucket(sheet->hold_max) == top ? sheet->hold_max : pm_bucket_middle(top));
}

/* Caller holds the sheet's lock. */
static void
add_new(PmSheet *sheet)
{
	uint32		transactions = sheet->transactions;
	int64		busy;

	pg_read_barrier();
	busy = sheet->busy;
	if (transactions == sheet->added_transactions && busy == sheet->added_busy)
		return;
	pm_account_add(sheet->account, PM_TRANSACTIONS, (int32) (transactions - sheet->added_transactions));
	pm_account_add_busy(sheet->account, busy - sheet->added_busy);
	add_holds(sheet);
	sheet->added_transactions = transactions;
	sheet->added_busy = busy;
}

/* The session that owns the sheet has begun. Returns the account that it is in. */
int
pm_sheet_begin(PmSheet *sheet, PmPlace place)
{
	int			account;

	LWLockAcquire(&sheet->lock, LW_EXCLUSIVE);
	account = pm_account_begin(place);
	sheet->account = account;
	sheet->begun_at = pm_monotonic_us();
	sheet->begun = true;
	LWLockRelease(&sheet->lock);
	return account;
}

/*
 * It ends, and belongs to this account by now; lifetime in us. Writes the name of
 * the account that it was counted in, NAMEDATALEN bytes: afterwards the place may be
 * somebody else's.
 */
void
pm_sheet_end(PmSheet *sheet, PmPlace place, PmCounter how, int64 lifetime, char *name)
{
	LWLockAcquire(&sheet->lock, LW_EXCLUSIVE);
	add_new(sheet);
	if (sheet->account != place.account)
		sheet->account = pm_account_move(sheet->account, place, 0);
	strlcpy(name, pm_shared->accounts[sheet->account].name, NAMEDATALEN);
	pm_account_end(sheet->account, how, lifetime);
	sheet->begun = false;
	LWLockRelease(&sheet->lock);
}

/* Allocates in the current memory context. */
void
pm_open_init(PmOpen *open)
{
	open->busy = palloc0(sizeof(int64) * pm_num_accounts());
}

static void
note_open(PmOpen *open, int account, int64 us)
{
	open->busy[account] += us;
	open->busy[pm_server_account()] += us;
	if (account >= pm_first_application())
		open->busy[pm_undeclared_account()] += us;
}

/*
 * How long a transaction that claims this start has held the connection until now,
 * which is "at" by the monotonic clock: never since before the last one ended. When
 * the wall clock was set since then, either while the transaction ran or before,
 * one of two figures is right, and the wrong one is most often impossible: below 0,
 * or more than went by since the last end. No lock; 0 as the start is that end.
 */
int64
pm_hold_until(const PmSheet *sheet, TimestampTz start, TimestampTz now, int64 at)
{
	TimestampTz last_end = sheet->last_end;
	int64		step = now - at - sheet->wall_ahead;
	int64		hold;

	if (step > -PM_CLOCK_STEP && step < PM_CLOCK_STEP)
		return Max(now - Max(start, last_end), 0);
	hold = Max(now - step - last_end, 0);
	if (now - start >= 0 && now - start < hold)
		hold = now - start;
	if (now - step - start >= 0 && now - step - start < hold)
		hold = now - step - start;
	return hold;
}

/*
 * How long the session's transaction has been open, less what it has written
 * down itself. A block that has failed has no start any more; its time until
 * then is written down.
 */
static int64
open_for(const PmSheet *sheet, const PmSession *session, const PmTally *tally)
{
	/* an idle session's transaction is the server's own */
	if (session->state == PM_STATE_IDLE)
		return 0;
	if (session->xact_start == 0 && session->state != PM_STATE_IDLE_IN_TRANSACTION_ABORTED)
		return 0;
	return pm_hold_until(sheet, session->xact_start, tally->now, tally->at);
}

static PmPlace
place_of_class(const PmTally *tally, PmClass *class)
{
	PmPlace		place = {.account = class->account,.incarnation = class->incarnation};

	if (place.account >= 0)
		return place;
	if (class->pool >= 0)
	{
		place.account = tally->rules->accounts[class->pool];
		place.incarnation = tally->rules->incarnations[class->pool];
	}
	else
		place = pm_application_account(class->application_name, true);
	class->account = place.account;
	class->incarnation = place.incarnation;
	return place;
}

/*
 * Brings the accounts up to date with one session, and the session into the
 * right account. Returns that, or -1 when the session is not counted: it has
 * no slot, has not quite begun, or has ended. Takes the sheet's lock, if there
 * is something to do.
 */
int
pm_settle(const PmTally *tally, PmClass *class, const PmSession *session, PmOpen *open)
{
	PmSheet    *sheet = &pm_shared->sheets[session->index];
	PmPlace		place;
	int			account;
	int64		us;

	/* a look, for the sake of its name, which makes a place */
	if (!sheet->begun)
		return -1;
	place = place_of_class(tally, class);
	account = place.account;
	if (sheet->begun && sheet->account == account &&
		sheet->transactions == sheet->added_transactions && sheet->busy == sheet->added_busy)
	{
		note_open(open, account, open_for(sheet, session, tally));
		return account;
	}

	LWLockAcquire(&sheet->lock, LW_EXCLUSIVE);
	if (!sheet->begun || !pm_slot_is(session))
	{
		LWLockRelease(&sheet->lock);
		return -1;
	}
	add_new(sheet);
	us = open_for(sheet, session, tally);

	/* what was read of one that has begun since may be from before that */
	if (sheet->begun_at >= tally->at)
		account = sheet->account;
	if (sheet->account != account)
		sheet->account = account = pm_account_move(sheet->account, place, us);
	LWLockRelease(&sheet->lock);
	note_open(open, account, us);
	return account;
}

/* All sessions of this moment. Begins the tally. */
void
pm_settle_all(PmTally *tally, PmOpen *open)
{
	PmScan		scan;
	PmSession	session;

	pm_tally_begin(tally);
	pm_open_init(open);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
		(void) pm_settle(tally, pm_tally_class(tally, &session), &session, open);
}
