/*
 * atwork.c
 *		What the busy sessions do, at one tick: how many of each account there are, and
 *		what they wait for.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "sessions/slot.h"
#include "utils/wait_event.h"
#include "worker/atwork.h"

#define WAIT_CLASS	0xFF000000	/* of a wait event; see wait_event.h */

void
pm_at_work_begin(PmAtWork *work)
{
	work->busy = palloc0(sizeof(*work->busy) * pm_num_accounts());
	work->waits = palloc0(sizeof(*work->waits) * pm_num_accounts());
}

/* PM_NUM_WAITS: it runs. */
static PmWait
wait_of(const PmSession *session)
{
	uint32		wait;

	if (session->state != PM_STATE_ACTIVE)
		return PM_WAIT_CLIENT;
	wait = pm_slot_wait(session);
	switch (wait & WAIT_CLASS)
	{
		case 0:
			return PM_NUM_WAITS;
		case PG_WAIT_CLIENT:
			return PM_WAIT_CLIENT;
		case PG_WAIT_LOCK:
			return PM_WAIT_LOCK;
		case PG_WAIT_IO:
			return PM_WAIT_IO;
		default:
			return PM_WAIT_OTHER;
	}
}

static void
note(PmAtWork *work, int account, PmWait wait)
{
	work->busy[account]++;
	if (wait < PM_NUM_WAITS)
		work->waits[account][wait]++;
}

void
pm_at_work_note(PmAtWork *work, int account, const PmSession *session)
{
	PmWait		wait;

	if (account < 0 || session->state == PM_STATE_IDLE || session->state == PM_STATE_UNKNOWN)
		return;
	wait = wait_of(session);
	note(work, account, wait);
	note(work, pm_server_account(), wait);
	if (account >= pm_first_application())
		note(work, pm_undeclared_account(), wait);
}
