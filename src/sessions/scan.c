/*
 * scan.c
 *		Reads client sessions in place from the backend status array.
 *
 * The server's own snapshot functions copy every entry with its query text
 * and keep the copy until the transaction ends. That costs milliseconds where
 * this costs microseconds, and goes stale. MyBEEntry is exported and points
 * into the array, at the entry of MyProcNumber (MyBackendId - 1 before 17), so
 * the array's first entry is known to every process that has one of its own:
 * any backend, and any background worker that called
 * BackgroundWorkerInitializeConnection, with or without a database.
 *
 * No lock is taken. Each entry has one writer, its process, and is read with
 * the protocol that utils/backend_status.h documents:
 *
 *		repeat
 *			before = st_changecount; read barrier
 *			copy what is needed
 *			read barrier; after = st_changecount
 *		until before = after and even
 *
 * An entry whose count is what it was at this process's last look is not read at
 * all: cache.c. And names that are what they were are compared in place, not copied.
 *
 * A writer makes the count odd for a few instructions only, so the reader
 * never waits for a lock holder. If a process is killed in between, the count
 * stays odd until the postmaster's crash restart ends the reader too.
 */
#include "postgres.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/compat.h"
#include "sessions/cache.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "utils/timestamp.h"

static PmSessionState
session_state(BackendState state)
{
	switch (state)
	{
		case STATE_IDLE:
			return PM_STATE_IDLE;
		case STATE_RUNNING:
		case STATE_FASTPATH:
			return PM_STATE_ACTIVE;
		case STATE_IDLEINTRANSACTION:
			return PM_STATE_IDLE_IN_TRANSACTION;
		case STATE_IDLEINTRANSACTION_ABORTED:
			return PM_STATE_IDLE_IN_TRANSACTION_ABORTED;
		default:
			return PM_STATE_UNKNOWN;
	}
}

/* Async-signal-safe. */
void
pm_copy_address(PmAddr *to, const volatile SockAddr *from)
{
	const struct sockaddr_storage *addr = (const struct sockaddr_storage *) &from->addr;

	memset(to, 0, sizeof(*to));
	if (addr->ss_family == AF_INET)
	{
		to->family = 4;
		memcpy(to->bytes, &((const struct sockaddr_in *) addr)->sin_addr, 4);
	}
	else if (addr->ss_family == AF_INET6)
	{
		to->family = 6;
		memcpy(to->bytes, &((const struct sockaddr_in6 *) addr)->sin6_addr, 16);
	}
}

/* Is the entry still of the session that was read of it last, under the same names? */
static bool
is_same(const volatile PgBackendStatus *entry, const PmSession *last)
{
	const PmClass *class = last->class;

	return last->pid == entry->st_procpid &&
		last->backend_start == entry->st_proc_start_timestamp &&
		class->key.datid == entry->st_databaseid &&
		class->key.userid == entry->st_userid &&
		memcmp((const char *) entry->st_appname, class->application_name, class->name_size) == 0;
}

/* Names and address, to find the class by. */
typedef struct Names
{
	PmClassKey	key;
	char		application_name[NAMEDATALEN];
} Names;

static void
copy_names(Names *names, const volatile PgBackendStatus *entry)
{
	names->key.datid = entry->st_databaseid;
	names->key.userid = entry->st_userid;
	pm_copy_address(&names->key.client_addr, &entry->st_clientaddr);
	memcpy(names->application_name, (const char *) entry->st_appname, NAMEDATALEN);
}

/*
 * One attempt to read the entry, by the protocol above; last is what was read of it
 * before. False when it was written meanwhile. Names are only copied when they are
 * others: then now->class is NULL.
 */
static bool
try_to_read(const volatile PgBackendStatus *entry, const PmSession *last, PmSession *now, Names *names)
{
	int			before;
	int			after;
	BackendState state = STATE_UNDEFINED;

	pgstat_begin_read_activity(entry, before);
	now->pid = entry->st_backendType == B_BACKEND ? entry->st_procpid : 0;
	now->class = NULL;
	if (now->pid > 0)
	{
		state = entry->st_state;
		now->userid = entry->st_userid;
		now->backend_start = entry->st_proc_start_timestamp;
		now->xact_start = entry->st_xact_start_timestamp;
		now->state_change = entry->st_state_start_timestamp;
		if (last->pid != 0 && is_same(entry, last))
			now->class = last->class;
		else
			copy_names(names, entry);
	}
	pgstat_end_read_activity(entry, after);

	now->change_count = before;
	now->state = session_state(state);
	if (now->pid < 0 || pm_state_is_starting(state))
		now->pid = 0;
	return pgstat_read_activity_complete(before, after);
}

/*
 * A report is no activity: the session is idle since it was last used, not since its
 * client's pool has reported.
 */
static void
leave_out_reports(PmSession *session)
{
	int64		used_at;

	if (session->state == PM_STATE_IDLE && pm_slot_only_reports(session, &used_at))
		session->state_change = Min(session->state_change, GetCurrentTimestamp() - (pm_monotonic_us() - used_at));
}

/*
 * Brings up to date what is known of the entry. Only a whole reading is kept: an
 * error leaves what was known, of the change count that it has, or as unread.
 */
void
pm_scan_read(const volatile PgBackendStatus *entry, PmSession *session)
{
	PmSession	now = {.index = session->index};
	Names		names;

	while (!try_to_read(entry, session, &now, &names))
		CHECK_FOR_INTERRUPTS();
	if (now.pid != 0)
	{
		if (now.class == NULL)
		{
			names.application_name[NAMEDATALEN - 1] = '\0';
			names.key.application_name = names.application_name;
			now.class = pm_cache_class(&names.key, &now);
		}
		leave_out_reports(&now);
		now.calm_until = pm_class_calm_until(now.class, &now);
	}
	*session = now;
}

/* Within a tally that has begun: its cache is read. */
void
pm_scan_begin(PmScan *scan)
{
	if (MyBEEntry == NULL || pm_my_index() < 0)
		elog(ERROR, "pool_monitor cannot read sessions: this process has no backend status entry");
	scan->first = MyBEEntry - pm_my_index();
	scan->next = 0;
	scan->room = 0;
}

/* This entry is beyond the room that the scan knows of. */
void
pm_scan_more(PmScan *scan, int index)
{
	scan->sessions = pm_cache_sessions(index, &scan->room);
}

/*
 * Is the session still there? Then what was read by its pid, before this was asked, was of
 * it and of nobody else.
 */
bool
pm_scan_is_there(const PmScan *scan, const PmSession *session)
{
	const volatile PgBackendStatus *entry = &scan->first[session->index];
	int			before;
	int			after;
	bool		is_there;

	do
	{
		pgstat_begin_read_activity(entry, before);
		is_there = entry->st_procpid == session->pid &&
			entry->st_proc_start_timestamp == session->backend_start;
		pgstat_end_read_activity(entry, after);
	} while (!pgstat_read_activity_complete(before, after));
	return is_there;
}
