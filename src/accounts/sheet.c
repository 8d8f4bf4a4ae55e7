/*
 * sheet.c
 *		From a session's sheet to its account.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/sheet.h"
#include "base/clock.h"
#include "miscadmin.h"

PmSheet    *pm_sheets = NULL;

static Size
sheets_size(void)
{
	return mul_size(MaxBackends, sizeof(PmSheet));
}

static void
attach_sheets(void *memory)
{
	pm_sheets = memory;
}

static void
init_sheets(void)
{
	for (int i = 0; i < MaxBackends; i++)
		LWLockInitialize(&pm_sheets[i].lock, pm_tranche());
}

const PmSection pm_sheets_section = {
	.name = "sheets",
	.size = sheets_size,
	.attach = attach_sheets,
	.init = init_sheets,
};

/* Caller holds the sheet's lock. Adds what is new to the account. */
static void
add_holds(PmSheet *sheet)
{
	PmAccount  *account = &pm_accounts->all[sheet->account];
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
			pm_account_add_time(sheet->account, PM_HOLDS, i, new);
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

/* Adds what is new to the account. Caller holds the sheet's lock. */
void
pm_sheet_add(PmSheet *sheet)
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
	pm_sheet_add(sheet);
	if (sheet->account != place.account)
		sheet->account = pm_account_move(sheet->account, place, 0);
	strlcpy(name, pm_accounts->all[sheet->account].owner.name, NAMEDATALEN);
	pm_account_end(sheet->account, how, lifetime);
	sheet->begun = false;
	LWLockRelease(&sheet->lock);
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
