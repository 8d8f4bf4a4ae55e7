/*
 * sheet.c
 *		From a session's sheet to its account.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "accounts/sheet.h"
#include "base/clock.h"
#include "miscadmin.h"

PmSheet    *pm_sheets = NULL;

/* Apart from the sheets, and from each other, so that what is free is not touched. */
static PmHolds *all_holds = NULL;
static LWLock *locks = NULL;

StaticAssertDecl(sizeof(PmSheet) == 64, "a sheet is a cache line");

static Size
sheets_size(void)
{
	return mul_size(MaxBackends, sizeof(PmSheet) + sizeof(PmHolds) + sizeof(LWLock));
}

static void
attach_sheets(void *memory)
{
	pm_sheets = memory;
	all_holds = (PmHolds *) (pm_sheets + MaxBackends);
	locks = (LWLock *) (all_holds + MaxBackends);
}

static void
init_sheets(void)
{
	for (int i = 0; i < MaxBackends; i++)
		LWLockInitialize(&locks[i], pm_tranche());
}

const PmSection pm_sheets_section = {
	.name = "sheets",
	.size = sheets_size,
	.attach = attach_sheets,
	.init = init_sheets,
};

LWLock *
pm_sheet_lock(const PmSheet *sheet)
{
	return &locks[sheet - pm_sheets];
}

static PmHolds *
holds_of(const PmSheet *sheet)
{
	return &all_holds[sheet - pm_sheets];
}

/* ---- from the sheet to the account ---- */

/* Returns the highest bucket in which there is something new, -1: none; adds to those that are long. */
static int
add_block(int account, PmHoldBlock *block, int octave, uint64 *nlong)
{
	bool		is_long = octave >= pm_bucket(PM_LONG_HOLD) / PM_OCTAVE_BUCKETS;
	int			top = -1;

	for (int i = 0; i < PM_OCTAVE_BUCKETS; i++)
	{
		uint32		now = block->now[i];
		uint32		new = now - block->added[i];

		if (new == 0)
			continue;
		top = octave * PM_OCTAVE_BUCKETS + i;
		pm_account_add_time(account, PM_HOLDS, top, new);
		*nlong += is_long ? new : 0;
		block->added[i] = now;
	}
	return top;
}

static void
add_holds(PmSheet *sheet)
{
	PmHolds    *holds = holds_of(sheet);
	int			nblocks = sheet->nblocks;
	int64		longest = sheet->hold_max;
	uint64		nlong = 0;
	int			top = -1;

	/* with nblocks its octaves */
	pg_read_barrier();
	for (int i = 0; i < nblocks; i++)
	{
		int			highest = add_block(sheet->account, &holds->blocks[i], holds->octaves[i], &nlong);

		top = Max(top, highest);
	}
	if (nlong > 0)
		pm_account_add(sheet->account, PM_LONG_HOLDS, nlong);

	/* the session's longest may be of another account, before it came here */
	if (top >= 0)
		pm_account_raise(&pm_accounts->all[sheet->account].hold_max,
						 pm_bucket(longest) == top ? longest : pm_bucket_middle(top));
}

/* Adds what is new to the account. Caller holds the sheet's lock. */
void
pm_sheet_add(PmSheet *sheet)
{
	uint32		transactions = sheet->transactions;
	int64		busy;

	pg_read_barrier();
	busy = sheet->busy;
	if (transactions != sheet->added_transactions)
		pm_account_add(sheet->account, PM_TRANSACTIONS, (int32) (transactions - sheet->added_transactions));
	if (busy != sheet->added_busy)
		pm_account_add_busy(sheet->account, busy - sheet->added_busy);
	add_holds(sheet);
	sheet->added_transactions = transactions;
	sheet->added_busy = busy;
}

/* ---- the session's own ---- */

/* Of each octave; NULL: it has none. What octaves says, for the session itself. */
static PmHoldBlock *block_of[PM_OCTAVES];
static uint32 resets_seen = 0;	/* the longest hold is counted from there */

/*
 * Afterwards all that the blocks have was added, and no reader knows of them, because
 * who reads them holds the lock: they may be others' octaves from now on.
 */
static void
empty_blocks(PmSheet *sheet)
{
	LWLockAcquire(pm_sheet_lock(sheet), LW_EXCLUSIVE);
	pm_sheet_add(sheet);
	sheet->nblocks = 0;
	LWLockRelease(pm_sheet_lock(sheet));
	memset(block_of, 0, sizeof(block_of));
}

static pg_noinline PmHoldBlock *
take_block(PmSheet *sheet, int octave)
{
	PmHolds    *holds = holds_of(sheet);

	if (sheet->nblocks == PM_HOLD_BLOCKS)
		empty_blocks(sheet);
	block_of[octave] = &holds->blocks[sheet->nblocks];
	holds->octaves[sheet->nblocks] = octave;
	pg_write_barrier();
	sheet->nblocks++;
	return block_of[octave];
}

/*
 * Writes a transaction down that has held for so many us. The longest hold goes first:
 * who finds the bucket must find that too; and before that the block, because who
 * empties the others must find the longest of these.
 */
void
pm_sheet_write(PmSheet *sheet, int64 hold)
{
	uint32		bucket = pm_bucket(hold);
	PmHoldBlock *block = block_of[bucket / PM_OCTAVE_BUCKETS];
	uint32		resets = pg_atomic_read_u32(&pm_accounts->resets);

	if (unlikely(block == NULL))
		block = take_block(sheet, bucket / PM_OCTAVE_BUCKETS);
	if (hold > sheet->hold_max || resets != resets_seen)
		sheet->hold_max = hold;
	resets_seen = resets;
	pg_write_barrier();
	block->now[bucket % PM_OCTAVE_BUCKETS]++;
	pg_write_barrier();
	sheet->transactions++;
}

/*
 * The session that owns the sheet has begun; setup in us. Returns the account that it is in, where the
 * seat of its login goes along. What the former one has written is in that one's account.
 */
int
pm_sheet_begin(PmSheet *sheet, PmPlace place, int seat, int64 setup)
{
	int			account;

	LWLockAcquire(pm_sheet_lock(sheet), LW_EXCLUSIVE);
	account = pm_account_begin(place);
	pm_account_set_up(account, setup);
	pm_seat_move(seat, pm_seat_of(account));
	sheet->account = account;
	sheet->begun_at = pm_monotonic_us();
	sheet->hold_max = 0;
	sheet->nblocks = 0;
	sheet->begun = true;
	LWLockRelease(pm_sheet_lock(sheet));
	return account;
}

/*
 * It goes to another account, and its seat with it; open as in pm_account_move(). Caller holds the
 * sheet's lock. Returns where it is.
 */
int
pm_sheet_move(PmSheet *sheet, PmPlace place, int64 open)
{
	int			from = sheet->account;

	sheet->account = pm_account_move(from, place, open);
	pm_seat_move(pm_seat_of(from), pm_seat_of(sheet->account));
	return sheet->account;
}

/*
 * It ends, and belongs to this account by now; lifetime in us. Writes the name of
 * the account that it was counted in, NAMEDATALEN bytes, if it is wanted: afterwards the
 * place may be somebody else's.
 */
void
pm_sheet_end(PmSheet *sheet, PmPlace place, PmCounter how, int64 lifetime, char *name)
{
	LWLockAcquire(pm_sheet_lock(sheet), LW_EXCLUSIVE);
	pm_sheet_add(sheet);
	if (sheet->account != place.account)
		(void) pm_sheet_move(sheet, place, 0);
	if (name != NULL)
		strlcpy(name, pm_accounts->all[sheet->account].owner.name, NAMEDATALEN);
	pm_seat_leave(pm_seat_of(sheet->account));
	pm_account_end(sheet->account, how, lifetime);
	sheet->begun = false;
	LWLockRelease(pm_sheet_lock(sheet));
}

/* ---- holds ---- */

/*
 * See pm_hold_until(). When the wall clock was set since then, either while the
 * transaction ran or before, one of two figures is right, and the wrong one is most often
 * impossible: below 0, or more than went by since the last end.
 */
int64
pm_hold_over_step(TimestampTz last_end, TimestampTz start, TimestampTz now, int64 step)
{
	int64		hold = Max(now - step - last_end, 0);

	if (now - start >= 0 && now - start < hold)
		hold = now - start;
	if (now - step - start >= 0 && now - step - start < hold)
		hold = now - step - start;
	return hold;
}
