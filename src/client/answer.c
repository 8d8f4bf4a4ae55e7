/*
 * answer.c
 *		The handler of SIGUSR2: may this session be retired, at this instant?
 *
 * pg_terminate_backend() on a session that a query listed as idle races with
 * the client's next statement. Only the backend itself knows whether it is at
 * rest at this very instant. So the asker (the clean-up, recycle()) writes a request into the
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
#include "client/answer.h"
#include "client/cursors.h"
#include "client/listen.h"
#include "libpq/libpq-be.h"
#include "libpq/libpq.h"
#include "miscadmin.h"
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

/* What the handler goes by: set before it can be asked, each in one piece. */
static PmSlot *volatile my_slot = NULL;
static volatile Oid my_role = InvalidOid;

/* From now on the handler answers for this slot; NULL: for none. */
void
pm_answer_for(PmSlot *slot)
{
	my_slot = slot;
}

/* The role that the session acts as when it begins; ALTER ROLE ... SET role has it. */
void
pm_answer_as(Oid role)
{
	my_role = role;
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
 * younger of the two clocks; the wall clock may have been set since it asked. But by the
 * monotonic one alone where the client's pool has only reported since: the server has that
 * as a use.
 */
static PmReason
reason_of_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		at = pm_monotonic_us();
	int64		age = Min(now - MyStartTimestamp, at - my_slot->begun_at);
	int64		idle = at - my_slot->used_at;

	if (!my_slot->only_reports)
		idle = Min(idle, now - MyBEEntry->st_state_start_timestamp);

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
	if (pm_has_replication_origin())
		return PM_REASON_REPLICATION_ORIGIN;
	if (pm_holding_cursor)
		return PM_REASON_HELD_CURSOR;
	if (GetUserId() != my_role || GetSessionUserId() != GetAuthenticatedUserId())
		return PM_REASON_ROLE_CHANGED;
	return PM_REASON_NONE;
}

/*
 * SIGUSR2. A signal that finds no request for us is not an asker's, or
 * comes late; it means nothing. Where a library has started threads, the kernel
 * may choose any of them; the first one has the number of the process.
 */
void
pm_answer_request(SIGNAL_ARGS)
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
