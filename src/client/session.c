/*
 * session.c
 *		What a client backend does for pool_monitor: claims its slot when it is
 *		authenticated, enters its account when its session begins, answers the
 *		recycler, leaves its account and gives the slot up when it exits.
 *
 * Authentication is not yet a session: the database may be missing, the role
 * over its limit. The first moment at which all of that has succeeded, and
 * application_name has its value from wherever, is the commit of the login's own
 * transaction.
 *
 * Retirement
 * ----------
 * pg_terminate_backend() on a session that a query listed as idle races with
 * the client's next statement. Only the backend itself knows whether it is at
 * rest at this very instant. So the recycler asks: it writes a request into the
 * slot and sends SIGUSR2, which client backends otherwise ignore; the handler
 * decides, in the backend, and either declines with its reason or ends the
 * session on the server's own path, by SIGTERM to itself.
 *
 * At rest means that the backend sleeps in the wait for the first byte of the
 * client's next message and that no such byte has arrived. The handler reads:
 *
 *	st_state is idle, no transaction	no statement has begun, none is open
 *	wait event is ClientRead			we sleep in the wait itself, so no recv()
 *										is half done and nothing allocates
 *	pq_is_reading_msg(), and libpq's	a message that was read already is not
 *	buffer empty						ours to drop
 *	OpenSSL holds nothing back			nor a part of a TLS record
 *	MSG_PEEK on the socket finds none	nothing has come in since the wait began
 *	poll() finds room to write			the client has read what it was sent
 *	MessageContext holds no more than	the rest of a message is not awaited: a
 *	its empty message buffer			message over 1 kB, the ones that come in
 *										pieces, has its space allocated first
 *
 * What is left: bytes that are still on their way when the session ends, which
 * no server can see, and the first piece of a message of up to 1 kB that comes in
 * two pieces, which leaves no trace that another module could read. (Client
 * libraries send such a message in one piece; a network path may still cut it.)
 * The rest meets a closed connection, as after any idle time-out; no statement
 * has begun.
 *
 * A session at rest still stays when it owns what would be lost with it; those
 * checks are plain reads too. Everything the handler touches is memory of its own
 * process (some of it through functions of the server and OpenSSL that only
 * read), shared memory that this process alone writes for itself, or an
 * async-signal-safe system call (recv, poll, kill, clock_gettime). It takes no lock,
 * allocates nothing, raises nothing, logs nothing.
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "base/clock.h"
#include "base/compat.h"
#include "client/cursors.h"
#include "client/holds.h"
#include "client/listen.h"
#include "client/logins.h"
#include "client/session.h"
#include "common/hashfn.h"
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "libpq/pqsignal.h"
#include "nodes/memnodes.h"
#include "pgstat.h"
#include "replication/walsender.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * More than this in MessageContext is a message under way: the context's
 * header and the 1 kB that every message buffer begins with come to well
 * below it, and the next larger buffer alone is 2 kB.
 */
#define EMPTY_MESSAGE_CONTEXT 2048

#define PREFETCH_DISTANCE 8		/* slots */

static PmSlot *my_slot = NULL;
static uint32 transactions_before = 0;	/* on our sheet, of others' */
static Oid	role_at_begin = InvalidOid; /* as ALTER ROLE ... SET role has it */
static ClientAuthentication_hook_type prev_ClientAuthentication_hook = NULL;

static PmSheet *
my_sheet(void)
{
	return &pm_shared->sheets[my_slot - pm_shared->slots];
}

/* Handler only: waiting for the rest of a message that has begun? */
static bool
message_under_way(void)
{
	MemoryContextCounters used = {0};

	MessageContext->methods->stats(MessageContext, NULL, NULL, &used, false);
	return used.totalspace - used.freespace > EMPTY_MESSAGE_CONTEXT;
}

/* Handler only: has the client sent anything, or gone away? */
static bool
socket_has_data(void)
{
	char		byte;
	ssize_t		got = recv(MyProcPort->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Handler only: has any part of the client's next message come in? */
static bool
input_begun(void)
{
	if (pm_input_buffered() || message_under_way())
		return true;
#ifdef USE_OPENSSL
	/* a part of a TLS record, or a record not yet handed on */
	if (MyProcPort->ssl_in_use && SSL_has_pending(MyProcPort->ssl))
		return true;
#endif
	return socket_has_data();
}

/*
 * Handler only: would the message that says goodbye have to wait, because the
 * client has not read what it was sent? The kernel reports POLLOUT while it has
 * room for thousands of bytes, which is more than that message. It is sent before
 * the process begins to exit, so that a signal still ends it should it wait.
 */
static bool
output_is_stuck(void)
{
	struct pollfd socket = {.fd = MyProcPort->sock,.events = POLLOUT};

	return pq_is_send_pending() || poll(&socket, 1, 0) <= 0;
}

/*
 * Handler only: is it younger, or was it used later, than the asker has it? By the
 * younger of the two clocks; the wall clock may have been set since it asked.
 */
static PmReason
reason_of_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		at = pm_monotonic_us();
	int64		age = Min(now - MyStartTimestamp, at - my_slot->begun_at);
	int64		idle = Min(now - MyBEEntry->st_state_start_timestamp, at - my_slot->used_at);

	if (idle < my_slot->asked_min_idle)
		return PM_REASON_USED;
	return Max(age, 0) <= my_slot->asked_min_age ? PM_REASON_NOT_OVER_AGE : PM_REASON_NONE;
}

/* Handler only: why this session must go on, PM_REASON_NONE if it may end. */
static PmReason
reason_to_stay(void)
{
	PmReason	reason;

	if (my_slot->asked_backend_start != MyStartTimestamp)
		return PM_REASON_OTHER_SESSION;
	if (pm_monotonic_ms() - my_slot->asked_at > PM_ABANDONED_AFTER)
		return PM_REASON_LATE;
	if (IsTransactionOrTransactionBlock())
		return PM_REASON_IN_TRANSACTION;
	if (MyBEEntry->st_state == STATE_DISABLED || MyBEEntry->st_state == STATE_UNDEFINED)
		return PM_REASON_STATE_UNKNOWN;
	if (MyBEEntry->st_state != STATE_IDLE)
		return PM_REASON_BUSY;
	if (MyProc->wait_event_info != WAIT_EVENT_CLIENT_READ || !pq_is_reading_msg())
		return PM_REASON_NOT_WAITING;
	if (input_begun())
		return PM_REASON_MESSAGE;
	if (output_is_stuck())
		return PM_REASON_UNREAD;
	reason = reason_of_time();
	if (reason != PM_REASON_NONE)
		return reason;
	if (pm_holds_lock())
		return PM_REASON_SESSION_LOCK;
	if (OidIsValid(MyProc->tempNamespaceId))
		return PM_REASON_TEMP_SCHEMA;
	if (pm_listening)
		return PM_REASON_LISTENING;
	if (get_backup_status() == SESSION_BACKUP_RUNNING)
		return PM_REASON_BACKUP;
	if (pm_owns_replication_slot())
		return PM_REASON_REPLICATION_SLOT;
	if (pm_holding_cursor)
		return PM_REASON_HELD_CURSOR;
	if (GetUserId() != role_at_begin || GetSessionUserId() != GetAuthenticatedUserId())
		return PM_REASON_ROLE_CHANGED;
	return PM_REASON_NONE;
}

/*
 * SIGUSR2. A signal that finds no request for us is not the recycler's, or
 * comes late; it means nothing. Where a library has started threads, the kernel
 * may choose any of them; the first one has the number of the process.
 */
static void
answer_request(SIGNAL_ARGS)
{
	int			save_errno = errno;

	/* not the thread whose state we read: hand it on */
	if (syscall(SYS_gettid) != MyProcPid)
		(void) syscall(SYS_tgkill, MyProcPid, MyProcPid, SIGUSR2);
	else if (my_slot != NULL && !proc_exit_inprogress)
	{
		uint64		request = pg_atomic_read_u64(&my_slot->request);

		if (PM_REQUEST_STATE(request) == PM_REQUEST_ASKED)
		{
			PmReason	reason;
			PmRequestState answer;

			/* the question was written before the word */
			pg_read_barrier();
			reason = reason_to_stay();
			answer = reason == PM_REASON_NONE ? PM_REQUEST_RETIRING : PM_REQUEST_DECLINED;

			/* fails when the asker has withdrawn: then we go on */
			if (pg_atomic_compare_exchange_u64(&my_slot->request, &request,
											   PM_REQUEST(PM_REQUEST_TICKET(request), answer, reason)) &&
				answer == PM_REQUEST_RETIRING)
				kill(MyProcPid, SIGTERM);
		}
	}
	errno = save_errno;
}

/* ---- the session's account ---- */

/* Where this session belongs now, by its names of now. */
static PmPlace
my_place(bool *echo)
{
	PmIdentity	who = {
		.application_name = MyBEEntry->st_appname,
		.datname = my_slot->datname,
		.usename = my_slot->usename,
	};

	pm_copy_address(&who.client_addr, &MyBEEntry->st_clientaddr);
	return pm_account_of(&who, true, echo);
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
static void
begin_session(void)
{
	PmSheet    *sheet = my_sheet();
	bool		echo;
	PmPlace		place = my_place(&echo);
	int			account = pm_sheet_begin(sheet, place);

	pm_account_note_role(account, MyBEEntry->st_userid);
	pm_login_stage = PM_LOGIN_BEGUN;
	pm_holds_begin(sheet, my_slot);
	role_at_begin = GetUserId();
	pg_atomic_write_u32(&my_slot->role, role_at_begin);
	transactions_before = sheet->transactions;
	if (echo)
		ereport(LOG_SERVER_ONLY,
				(errmsg("pool \"%s\": session began: application \"%s\", database \"%s\", role \"%s\"",
						pm_shared->accounts[account].name, MyBEEntry->st_appname,
						my_slot->datname, my_slot->usename),
				 errhidestmt(true)));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (my_slot == NULL ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
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
			return pm_connection_was_lost() ? PM_ENDED_ABANDONED : PM_ENDED_FATAL;
		case DISCONNECT_KILLED:
			return PM_ENDED_KILLED;
		default:
			return PM_ENDED_CLIENT;
	}
}

/*
 * How long the session has lived, in us. Its start is by the wall clock, and the
 * login took no longer than it may: else the clock was set, and the time since the
 * login is what is known.
 */
static int64
lifetime_until_now(void)
{
	int64		lifetime = GetCurrentTimestamp() - MyStartTimestamp;
	int64		since_login = pm_monotonic_us() - my_slot->begun_at;

	if (lifetime < since_login || lifetime > since_login + AuthenticationTimeout * INT64CONST(1000000))
		return since_login;
	return lifetime;
}

static void
end_session(void)
{
	static const char *const words[PM_NUM_COUNTERS] = {
		[PM_RETIRED] = "retired",
		[PM_ENDED_ABANDONED] = "abandoned by the client",
		[PM_ENDED_FATAL] = "by an error",
		[PM_ENDED_KILLED] = "terminated",
		[PM_ENDED_CLIENT] = "by the client",
	};
	PmSheet    *sheet = my_sheet();
	int64		lifetime = lifetime_until_now();
	PmCounter	how = how_it_ends();
	bool		echo;
	PmPlace		place = my_place(&echo);
	char		name[NAMEDATALEN];

	pm_holds_finish();
	pm_sheet_end(sheet, place, how, lifetime, name);
	if (echo)
		ereport(LOG_SERVER_ONLY,
				(errmsg("pool \"%s\": session ended: %s, after %.3f s and %u transactions",
						name, words[how], Max(lifetime, 0) / 1000000.0,
						sheet->transactions - transactions_before),
				 errhidestmt(true)));
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
		pm_login_ended();
	LWLockAcquire(pm_shared->ask_lock, LW_SHARED);
	my_slot = NULL;
	pg_atomic_write_u32(&slot->listening, 0);
	pg_atomic_write_u32(&slot->pid, 0);
	request = pg_atomic_read_u64(&slot->request);
	if (PM_REQUEST_STATE(request) == PM_REQUEST_ASKED)
		(void) pg_atomic_compare_exchange_u64(&slot->request, &request,
											  PM_REQUEST(PM_REQUEST_TICKET(request), PM_REQUEST_DECLINED, PM_REASON_GONE));
	LWLockRelease(pm_shared->ask_lock);
}

static uint64
names_identity(const char *datname, const char *usename)
{
	return hash_bytes_extended((const unsigned char *) datname, strlen(datname),
							   hash_bytes_extended((const unsigned char *) usename, strlen(usename), 0));
}

/*
 * Takes no lock: the slot at our index has no other writer while its pid is 0,
 * which the former owner's release saw to. A slot found claimed was left by a
 * process that died without its exit callbacks; the server restarts itself then.
 */
static void
claim_slot(Port *port)
{
	PmSlot	   *slot = &pm_shared->slots[pm_my_index()];

	slot->backend_start = MyStartTimestamp;
	slot->begun_at = pm_monotonic_us();
	slot->used_at = slot->begun_at;
	strlcpy(slot->datname, port->database_name, NAMEDATALEN);
	strlcpy(slot->usename, port->user_name, NAMEDATALEN);
	slot->identity = names_identity(slot->datname, slot->usename);
	pg_atomic_write_u32(&slot->role, InvalidOid);
	pg_write_barrier();
	pg_atomic_write_u32(&slot->pid, (uint32) MyProcPid);

	my_slot = slot;
	RegisterXactCallback(at_transaction_end, NULL);
	before_shmem_exit(release_slot, (Datum) 0);
	pqsignal(SIGUSR2, answer_request);
}

/*
 * Runs for failures too, and with sslmode=prefer perhaps twice for one login.
 * Fails open: whatever is missing, the login goes on without a slot.
 */
static void
on_authentication(Port *port, int status)
{
	if (prev_ClientAuthentication_hook)
		prev_ClientAuthentication_hook(port, status);

	if (status != STATUS_OK && status != STATUS_EOF)
		pm_login_failed(PM_AUTH_FAILURES);
	if (status != STATUS_OK || my_slot != NULL || pm_shared == NULL || am_walsender)
		return;
	pm_login_stage = PM_LOGIN_AUTHENTICATED;
	if (port->database_name == NULL || port->user_name == NULL)
		return;
	if (MyProc == NULL || pm_my_index() < 0 || pm_my_index() >= MaxBackends)
		return;
	claim_slot(port);
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

/* The slot of this very session, NULL if it has none (any more). */
static PmSlot *
slot_of(const PmSession *session)
{
	PmSlot	   *slot;

	if (pm_shared == NULL)
		return NULL;
	slot = &pm_shared->slots[session->index];
	if (pg_atomic_read_u32(&slot->pid) != (uint32) session->pid)
		return NULL;
	pg_read_barrier();
	return slot->backend_start == session->backend_start ? slot : NULL;
}

/* Is it still there, and has a slot? Sure only while nothing can end it. */
bool
pm_slot_is(const PmSession *session)
{
	return slot_of(session) != NULL;
}

/*
 * The names that the session logged in with, into buffers of NAMEDATALEN.
 * False, and no names, when it has no slot. No lock; see PmSlot.
 */
bool
pm_slot_names(const PmSession *session, char *datname, char *usename)
{
	PmSlot	   *slot = slot_of(session);

	if (slot == NULL)
		return false;
	strlcpy(datname, slot->datname, NAMEDATALEN);
	strlcpy(usename, slot->usename, NAMEDATALEN);
	pg_read_barrier();
	return slot_of(session) != NULL;
}

/*
 * The role that the session began to act as, which its owner may have set to
 * another than the one it logged in with; invalid when it has no slot or has not
 * begun. It may have changed since: the handler sees to that.
 */
Oid
pm_slot_role(const PmSession *session)
{
	PmSlot	   *slot = slot_of(session);
	Oid			role = slot ? pg_atomic_read_u32(&slot->role) : InvalidOid;

	pg_read_barrier();
	return slot_of(session) ? role : InvalidOid;
}

/*
 * When the session began, and when it was last used, in us of the monotonic clock.
 * False, and neither, when it has no slot. No lock; see PmSlot.
 */
bool
pm_slot_stamps(const PmSession *session, int64 *begun_at, int64 *used_at)
{
	PmSlot	   *slot = slot_of(session);

	if (slot == NULL)
		return false;
	*begun_at = slot->begun_at;
	*used_at = slot->used_at;
	pg_read_barrier();
	return slot_of(session) != NULL;
}

/* A number that is equal for equal names; 0 when the session has no slot. */
uint64
pm_slot_identity(const PmSession *session)
{
	PmSlot	   *slot = slot_of(session);
	uint64		identity = slot ? slot->identity : 0;

	/* a scan comes by in order */
	if (slot != NULL && session->index + PREFETCH_DISTANCE < MaxBackends)
		__builtin_prefetch(slot + PREFETCH_DISTANCE);

	pg_read_barrier();
	return slot_of(session) ? identity : 0;
}
