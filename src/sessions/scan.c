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
 * A writer makes the count odd for a few instructions only, so the reader
 * never waits for a lock holder. If a process is killed in between, the count
 * stays odd until the postmaster's crash restart ends the reader too.
 */
#include "postgres.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/compat.h"
#include "sessions/scan.h"

#define PREFETCH_DISTANCE 8		/* entries */

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

/* Is any byte of the word zero? */
static inline bool
has_zero_byte(uint64 word)
{
	return ((word - UINT64CONST(0x0101010101010101)) & ~word &
			UINT64CONST(0x8080808080808080)) != 0;
}

static inline uint64
mix(uint64 hash, uint64 value)
{
	hash = (hash ^ value) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

/*
 * Hashes a name, whole words first. Not hash_bytes(): this runs for every
 * session of every scan, and is most of what a scan could save.
 */
static inline uint64
hash_name(const char *name)
{
	uint64		hash = 0;
	int			i = 0;
	uint64		word;

	for (; i < NAMEDATALEN; i += sizeof(word))
	{
		memcpy(&word, name + i, sizeof(word));
		if (has_zero_byte(word))
			break;
		hash = mix(hash, word);
	}
	for (; i < NAMEDATALEN && name[i] != '\0'; i++)
		hash = mix(hash, (unsigned char) name[i]);
	return hash;
}

/*
 * Copies the entry, and says whether it is a client session past its
 * authentication.
 */
static bool
read_entry(volatile PgBackendStatus *entry, PmSession *session)
{
	for (;;)
	{
		int			before;
		int			after;
		bool		wanted;
		BackendState state = STATE_UNDEFINED;

		pgstat_begin_read_activity(entry, before);
		session->pid = entry->st_procpid;
		wanted = session->pid > 0 && entry->st_backendType == B_BACKEND;
		if (wanted)
		{
			state = entry->st_state;
			session->datid = entry->st_databaseid;
			session->userid = entry->st_userid;
			session->backend_start = entry->st_proc_start_timestamp;
			session->xact_start = entry->st_xact_start_timestamp;
			session->state_change = entry->st_state_start_timestamp;
			pm_copy_address(&session->client_addr, &entry->st_clientaddr);
			memcpy(session->application_name, (const char *) entry->st_appname, NAMEDATALEN);
		}
		pgstat_end_read_activity(entry, after);

		if (pgstat_read_activity_complete(before, after))
		{
			if (!wanted || pm_state_is_starting(state))
				return false;
			session->application_name[NAMEDATALEN - 1] = '\0';
			session->name_hash = hash_name(session->application_name);
			session->state = session_state(state);
			return true;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

void
pm_scan_begin(PmScan *scan)
{
	if (MyBEEntry == NULL || pm_my_index() < 0)
		elog(ERROR, "pool_monitor cannot read sessions: this process has no backend status entry");
	scan->next = 0;
}

/*
 * The next client session, false after the last. The caller may hold no lock
 * that a status writer could need; there is none, but CHECK_FOR_INTERRUPTS
 * runs in here.
 */
bool
pm_scan_next(PmScan *scan, PmSession *session)
{
	volatile PgBackendStatus *first = MyBEEntry - pm_my_index();

	while (scan->next < MaxBackends)
	{
		int			index = scan->next++;

		/* entries lie too far apart for the processor to foresee */
		if (index + PREFETCH_DISTANCE < MaxBackends)
		{
			__builtin_prefetch((const void *) &first[index + PREFETCH_DISTANCE]);
			__builtin_prefetch((const void *) &first[index + PREFETCH_DISTANCE].st_state);
		}

		/* one cache line tells that an entry is free */
		if (first[index].st_procpid <= 0)
			continue;
		session->index = index;
		if (read_entry(&first[index], session))
			return true;
	}
	return false;
}
