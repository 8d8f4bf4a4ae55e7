/*
 * session.c
 *		What a client backend does for pool_monitor: claims its slot when it is
 *		authenticated, enters its account when its session begins, leaves its
 *		account and gives the slot up when it exits.
 *
 * Authentication is not yet a session: the database may be missing, the role
 * over its limit. The first moment at which all of that has succeeded, and
 * application_name has its value from wherever, is the commit of the login's own
 * transaction.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/place.h"
#include "accounts/roles.h"
#include "accounts/sheet.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/shmem.h"
#include "client/answer.h"
#include "client/cursors.h"
#include "client/guard.h"
#include "client/holds.h"
#include "client/listen.h"
#include "client/logins.h"
#include "client/session.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "libpq/pqsignal.h"
#include "pgstat.h"
#include "pools/assign.h"
#include "pools/declared.h"
#include "replication/walsender.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

static PmSlot *my_slot = NULL;
static uint32 transactions_before = 0;	/* on our sheet, of others' */

/* What was found when the session began; it holds as long as nothing of it changes. */
static struct
{
	uint32		version;		/* of the declarations */
	char		application_name[NAMEDATALEN];
	PmPlace		place;
	bool		echo;
}			found;

static ClientAuthentication_hook_type prev_ClientAuthentication_hook = NULL;

static PmSheet *
my_sheet(void)
{
	return &pm_sheets[my_slot - pm_slots->all];
}

/* ---- the session's account ---- */

/* Where this session belongs now, by its names of now. */
static PmPlace
find_place(bool *echo)
{
	PmIdentity	who = {
		.application_name = MyBEEntry->st_appname,
		.datname = my_slot->datname,
		.usename = my_slot->usename,
	};

	pm_copy_address(&who.client_addr, &MyBEEntry->st_clientaddr);
	return pm_account_of(&who, true, echo);
}

static PmPlace
place_at_begin(bool *echo)
{
	found.version = pg_atomic_read_u32(&pm_declarations->rules_version);
	pg_read_barrier();
	memcpy(found.application_name, MyBEEntry->st_appname, NAMEDATALEN);
	found.place = find_place(&found.echo);
	*echo = found.echo;
	return found.place;
}

/*
 * It is where it was if it is still in the account of then, which it holds, and by the
 * same names and declarations; but who is in "(other)" may have a better place by now.
 */
static PmPlace
place_at_end(const PmSheet *sheet, bool *echo)
{
	if (sheet->account == found.place.account && sheet->account != pm_other_account() &&
		found.version == pg_atomic_read_u32(&pm_declarations->rules_version) &&
		strcmp(found.application_name, MyBEEntry->st_appname) == 0)
	{
		*echo = found.echo;
		return found.place;
	}
	return find_place(echo);
}

/*
 * How long ago that was, in us, a moment before this session was authenticated. All that
 * there is of the part before is by the wall clock, and the login took no longer than it
 * may: else the clock was set, and the time since authentication is what is known.
 */
static int64
time_since(TimestampTz start)
{
	int64		time = GetCurrentTimestamp() - start;
	int64		since_login = pm_monotonic_us() - my_slot->begun_at;

	if (time < since_login || time > since_login + AuthenticationTimeout * INT64CONST(1000000))
		return since_login;
	return time;
}

/*
 * The login's own transaction has committed: authenticated, admitted, set up.
 * Runs in the commit; takes the lock of its sheet, whose holders never wait.
 *
 * What is logged here and in end_session() is for the server log only, whatever
 * client_min_messages says. To the client it would be sent: in the commit, where
 * names that its encoding does not have would raise an error, and in the exit,
 * where a client that does not read would keep a process that heeds no signal.
 */
static pg_noinline void
begin_session(void)
{
	PmSheet    *sheet = my_sheet();
	bool		echo;
	PmPlace		place = place_at_begin(&echo);
	int			account = pm_sheet_begin(sheet, place, pm_guard_seat(), time_since(pm_fork_time()));

	pm_role_connected(account, MyBEEntry->st_userid);
	pm_login_stage = PM_LOGIN_BEGUN;
	pm_guard_begun();
	pm_holds_begin(sheet, my_slot);
	pm_answer_as(GetUserId());
	pg_atomic_write_u32(&my_slot->role, GetUserId());
	transactions_before = sheet->transactions;
	if (echo)
		ereport(LOG_SERVER_ONLY,
				(errmsg("pool \"%s\": session began: application \"%s\", database \"%s\", role \"%s\"",
						pm_accounts->all[account].owner.name, MyBEEntry->st_appname,
						my_slot->datname, my_slot->usename),
				 errhidestmt(true)));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if ((event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE) ||
		my_slot == NULL)
		return;
	if (pm_login_stage == PM_LOGIN_BEGUN)
		pm_hold_end(event);
	else if (event == XACT_EVENT_COMMIT && OidIsValid(MyDatabaseId))
		begin_session();
}

static PmCounter
how_it_ends(void)
{
	uint64		request = pg_atomic_read_u64(&my_slot->request);

	if (PM_REQUEST_STATE(request) == PM_REQUEST_RETIRING &&
		my_slot->asked_backend_start == MyStartTimestamp)
		return PM_RETIRED;
	switch (pgStatSessionEndCause)
	{
		case DISCONNECT_CLIENT_EOF:
			return PM_ENDED_ABANDONED;
		case DISCONNECT_FATAL:
			if (pm_connection_was_lost())
				return PM_ENDED_ABANDONED;
			return pm_session_timed_out() ? PM_ENDED_TIMEOUT : PM_ENDED_FATAL;
		case DISCONNECT_KILLED:
			return PM_ENDED_KILLED;
		default:
			return PM_ENDED_CLIENT;
	}
}

static void
end_session(void)
{
	PmSheet    *sheet = my_sheet();
	int64		lifetime = time_since(MyStartTimestamp);
	PmCounter	how = how_it_ends();
	bool		echo;
	PmPlace		place = place_at_end(sheet, &echo);
	char		name[NAMEDATALEN];

	pm_holds_finish();
	pm_sheet_end(sheet, place, how, lifetime, echo ? name : NULL);
	if (echo)
		ereport(LOG_SERVER_ONLY,
				(errmsg("pool \"%s\": session ended: %s, after %.3f s and %u transactions",
						name, pm_counters[how].end, Max(lifetime, 0) / 1000000.0,
						sheet->transactions - transactions_before),
				 errhidestmt(true)));
}

/* ---- what its client's pool reports ---- */

int
pm_session_account(PmOwner *owner)
{
	PmSheet    *sheet;
	int			account;

	if (my_slot == NULL || pm_login_stage != PM_LOGIN_BEGUN)
		return -1;
	sheet = my_sheet();
	LWLockAcquire(pm_sheet_lock(sheet), LW_SHARED);
	account = sheet->account;
	*owner = pm_accounts->all[account].owner;
	LWLockRelease(pm_sheet_lock(sheet));
	return account;
}

void
pm_session_count(int account, const PmPoolSums *news)
{
	PmSheet    *sheet = my_sheet();

	LWLockAcquire(pm_sheet_lock(sheet), LW_SHARED);
	if (sheet->account != account)
	{
		LWLockRelease(pm_sheet_lock(sheet));
		return;
	}
	pm_account_add_reported(sheet->account, PM_CHECKOUTS, news->checkouts);
	pm_account_add_reported(sheet->account, PM_CHECKOUT_WAITS, news->waits);
	pm_account_add_reported(sheet->account, PM_WAITED_US, news->waited);
	pm_account_add_reported(sheet->account, PM_CHECKOUT_TIMEOUTS, news->timeouts);
	pm_account_add_reported(sheet->account, PM_TIMED_CHECKOUTS, news->timed_checkouts);
	pm_account_add_reported(sheet->account, PM_CHECKED_OUT_US, news->checked_out);
	pm_account_add_reported(sheet->account, PM_REPORTED_OPEN_US, news->open);
	LWLockRelease(pm_sheet_lock(sheet));
}

/* ---- the slot ---- */

/*
 * before_shmem_exit, not on_proc_exit: an LWLock needs a PGPROC. ask_lock keeps
 * the process in existence while an asker that found it here signals it; its
 * holder never waits.
 */
static void
release_slot(int code, Datum arg)
{
	PmSlot	   *slot = my_slot;
	uint64		request;

	if (slot == NULL)
		return;
	if (pm_login_stage == PM_LOGIN_BEGUN)
		end_session();
	else
	{
		pm_guard_gone();
		pm_login_ended();
	}
	LWLockAcquire(&pm_slots->ask_lock.lock, LW_SHARED);
	my_slot = NULL;
	pm_answer_for(NULL);
	pg_atomic_write_u32(&slot->listening, 0);
	pg_atomic_write_u32(&slot->pid, 0);
	request = pg_atomic_read_u64(&slot->request);
	if (PM_REQUEST_STATE(request) == PM_REQUEST_ASKED)
		(void) pg_atomic_compare_exchange_u64(&slot->request, &request,
											  PM_REQUEST(PM_REQUEST_TICKET(request), PM_REQUEST_DECLINED, PM_REASON_GONE));
	LWLockRelease(&pm_slots->ask_lock.lock);
}

/*
 * Takes no lock: the slot at our index has no other writer while its pid is 0,
 * which the former owner's release saw to. A slot found claimed was left by a
 * process that died without its exit callbacks; the server restarts itself then.
 */
static void
claim_slot(Port *port)
{
	PmSlot	   *slot = &pm_slots->all[pm_my_index()];

	slot->backend_start = MyStartTimestamp;
	slot->proc = MyProc;
	slot->begun_at = pm_monotonic_us();
	slot->used_at = slot->begun_at;
	slot->only_reports = false;
	strlcpy(slot->datname, port->database_name, NAMEDATALEN);
	strlcpy(slot->usename, port->user_name, NAMEDATALEN);
	slot->identity = pm_names_identity(slot->datname, slot->usename);
	pg_atomic_write_u32(&slot->role, InvalidOid);
	pg_write_barrier();
	pg_atomic_write_u32(&slot->pid, (uint32) MyProcPid);

	my_slot = slot;
	pm_answer_for(slot);
	RegisterXactCallback(at_transaction_end, NULL);
	before_shmem_exit(release_slot, (Datum) 0);
	pqsignal(SIGUSR2, pm_answer_request);
}

/*
 * Runs for failures too, and with sslmode=prefer perhaps twice for one login.
 * Fails open: whatever is missing, the login goes on without a slot, and unguarded.
 */
static void
on_authentication(Port *port, int status)
{
	if (prev_ClientAuthentication_hook)
		prev_ClientAuthentication_hook(port, status);

	if (status != STATUS_OK && status != STATUS_EOF)
		pm_login_failed(PM_AUTH_FAILURES);
	if (status != STATUS_OK || my_slot != NULL || !pm_preloaded)
		return;
	pm_login_stage = PM_LOGIN_AUTHENTICATED;
	if (am_walsender || port->database_name == NULL || port->user_name == NULL)
		return;
	if (MyProc == NULL || pm_my_index() < 0 || pm_my_index() >= MaxBackends)
		return;
	claim_slot(port);
	pm_guard_login();
}

void
pm_session_install(void)
{
	prev_ClientAuthentication_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = on_authentication;
	pm_listen_install();
	pm_cursors_install();
	pm_holds_install();
}
