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

#include "accounts/account.h"
#include "accounts/place.h"
#include "accounts/places.h"
#include "accounts/sheet.h"
#include "sessions/scan.h"
#include "sessions/settle.h"
#include "sessions/slot.h"

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

/* Whoever has no names of login has gone, or not quite begun. */
static PmPlace
place_of_application(const PmClass *class)
{
	PmIdentity	who = {
		.application_name = class->application_name,
		.datname = class->datname,
		.usename = class->usename,
	};

	return class->named ? pm_application_account(&who, true) : pm_place_of(pm_other_account());
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
		place = place_of_application(class);
	class->account = place.account;
	class->incarnation = place.incarnation;
	return place;
}

/*
 * Brings the accounts up to date with one session, and the session into the
 * right account, in a tally of pm_settle_begin(). Returns that, or -1 when the session is not counted: it has
 * no slot, has not quite begun, or has ended. Takes the sheet's lock, if there
 * is something to do.
 */
int
pm_settle(const PmTally *tally, PmClass *class, const PmSession *session, PmOpen *open)
{
	PmSheet    *sheet = &pm_sheets[session->index];
	PmPlace		place;
	int			account;
	int64		us;

	/* a look, for the sake of its names, which make a place */
	if (!sheet->begun)
		return -1;
	place = place_of_class(tally, class);
	account = place.account;
	if (sheet->begun && sheet->account == account &&
		sheet->transactions == sheet->added_transactions && sheet->busy == sheet->added_busy)
	{
		us = open_for(sheet, session, tally);
		if (us != 0)
			pm_open_note(open, account, us);
		return account;
	}

	LWLockAcquire(pm_sheet_lock(sheet), LW_EXCLUSIVE);
	if (!sheet->begun || !pm_slot_is(session))
	{
		LWLockRelease(pm_sheet_lock(sheet));
		return -1;
	}
	pm_sheet_add(sheet);
	us = open_for(sheet, session, tally);

	/* what was read of one that has begun since may be from before that */
	if (sheet->begun_at >= tally->at)
		account = sheet->account;
	if (sheet->account != account)
		account = pm_sheet_move(sheet, place, us);
	LWLockRelease(pm_sheet_lock(sheet));
	pm_open_note(open, account, us);
	return account;
}

/* Before a scan whose sessions are settled; allocates in the current memory context. */
void
pm_settle_begin(PmTally *tally, PmOpen *open)
{
	pm_tally_begin(tally);
	pm_open_init(open);
}

/* All sessions of this moment. Begins the tally. */
void
pm_settle_all(PmTally *tally, PmOpen *open)
{
	PmScan		scan;
	const PmSession *session;

	pm_settle_begin(tally, open);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
		(void) pm_settle(tally, pm_tally_class(tally, session), session, open);
}
