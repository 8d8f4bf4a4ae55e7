/*
 * compat.h
 *		Differences between the supported servers, PostgreSQL 15 to 19.
 *
 * The only file that asks for PG_VERSION_NUM. What is here has the newest
 * server's shape, so that dropping a major is a deletion. Includes
 * postgres.h's world only; postgres.h itself comes first in the .c file.
 */
#ifndef PM_COMPAT_H
#define PM_COMPAT_H

#include "access/tableam.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "common/jsonapi.h"
#include "libpq/libpq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "replication/origin.h"
#include "replication/slot.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* until 15 a part of postgres.h */
#endif

#if PG_VERSION_NUM >= 180000
#include "tcop/backend_startup.h"
#endif

#if PG_VERSION_NUM < 150000
#error "pool_monitor needs PostgreSQL 15 or later"
#endif

/* Of a database whose DROP was interrupted; named from 15.4 on. */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB (-2)
#endif

/* From 17 on; before, no error has it. */
#if PG_VERSION_NUM < 170000
#define ERRCODE_TRANSACTION_TIMEOUT MAKE_SQLSTATE('2', '5', 'P', '0', '4')
#endif

/* The type of a signal handler has changed, and SIG_IGN's with it. */
#if PG_VERSION_NUM < 190000
#define PG_SIG_IGN SIG_IGN
#endif

/*
 * The index of this process in the backend status array and in our slots,
 * -1 when it has none.
 */
static inline int
pm_my_index(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyBackendId == InvalidBackendId ? -1 : MyBackendId - 1;
#endif
}

/* When this backend's process was made, for its client; before 18, when it had begun. */
static inline TimestampTz
pm_fork_time(void)
{
#if PG_VERSION_NUM >= 180000
	if (conn_timing.fork_start > 0)
		return conn_timing.fork_start;
#endif
	return MyStartTimestamp;
}

/* Connection slots that ordinary roles cannot use. */
static inline int
pm_reserved_connections(void)
{
#if PG_VERSION_NUM >= 160000
	return SuperuserReservedConnections + ReservedConnections;
#else
	return ReservedBackends;
#endif
}

/* May the role use the slots of reserved_connections? In a transaction. */
static inline bool
pm_may_use_reserved(Oid role)
{
#if PG_VERSION_NUM >= 160000
	return has_privs_of_role(role, ROLE_PG_USE_RESERVED_CONNECTIONS);
#else
	return false;
#endif
}

/*
 * Connection slots that are in use, walsenders' apart, and how many of them by
 * logins under way. The first MaxConnections PGPROCs are those of client backends;
 * one belongs to the process that owns its latch, from before authentication until
 * the very end. Its role is set when that process is authenticated. Read without a
 * lock, each field in one piece.
 */
static inline int
pm_slots_in_use(int *authenticating)
{
	int			in_use = 0;

	*authenticating = 0;
	for (int i = 0; i < MaxConnections; i++)
	{
		const volatile PGPROC *proc = GetPGProcByNumber(i);

		if (proc->procLatch.owner_pid == 0)
			continue;
		in_use++;
		*authenticating += !OidIsValid(proc->roleId);
	}
	return in_use;
}

/* Is the entry's process still authenticating? Before 18 it has no entry. */
static inline bool
pm_state_is_starting(BackendState state)
{
#if PG_VERSION_NUM >= 180000
	return state == STATE_STARTING;
#else
	(void) state;
	return false;
#endif
}

/*
 * Does this process hold a lock of the main lock table? Without a transaction
 * that can only be a session-level one. Reads memory only: async-signal-safe.
 */
static inline bool
pm_holds_lock(void)
{
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
	{
#if PG_VERSION_NUM >= 160000
		if (!dlist_is_empty(&MyProc->myProcLocks[i]))
			return true;
#else
		if (!SHMQueueEmpty(&MyProc->myProcLocks[i]))
			return true;
#endif
	}
	return false;
}

/*
 * Does this process own a temporary replication slot, or use any? Reads shared
 * memory without a lock: only this process sets or clears its own mark.
 */
static inline bool
pm_owns_replication_slot(void)
{
	if (ReplicationSlotCtl == NULL)
		return false;
	for (int i = 0; i < max_replication_slots; i++)
	{
		if (!ReplicationSlotCtl->replication_slots[i].in_use)
			continue;
#if PG_VERSION_NUM >= 190000
		if (ReplicationSlotCtl->replication_slots[i].active_proc == MyProcNumber)
			return true;
#else
		if (ReplicationSlotCtl->replication_slots[i].active_pid == MyProcPid)
			return true;
#endif
	}
	return false;
}

/* Was one set up for this session? Async-signal-safe. */
static inline bool
pm_has_replication_origin(void)
{
#if PG_VERSION_NUM >= 190000
	return replorigin_xact_state.origin != InvalidReplOriginId;
#else
	return replorigin_session_origin != InvalidRepOriginId;
#endif
}

/* Bytes from the client that libpq has read and not handed on. */
static inline bool
pm_input_buffered(void)
{
#if PG_VERSION_NUM >= 170000
	return pq_buffer_remaining_data() > 0;
#else
	return pq_buffer_has_data();
#endif
}

/*
 * A wait event under our own name where the server can register one (17 and
 * later), "Extension" before that. Allocates and locks: not for handlers.
 */
static inline uint32
pm_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * Has the postmaster look for workers to start. Before 16 it may have gone to sleep
 * without having seen an exit: true where that may have to be done again.
 */
static inline bool
pm_wake_postmaster(void)
{
#if PG_VERSION_NUM < 160000
	SendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
	return true;
#else
	return false;
#endif
}

/*
 * Is this ASCII text JSON? Allocates nothing, and raises no error where it is not nested
 * deeply.
 */
static inline bool
pm_is_json(const char *text)
{
#if PG_VERSION_NUM >= 170000
	JsonLexContext lex;

	(void) makeJsonLexContextCstringLen(&lex, text, strlen(text), PG_UTF8, false);
#else
	JsonLexContext lex = {0};

	lex.input = lex.token_terminator = lex.line_start = (char *) text;
	lex.line_number = 1;
	lex.input_length = strlen(text);
	lex.input_encoding = PG_UTF8;
#endif
	return pg_parse_json(&lex, &nullSemAction) == JSON_SUCCESS;
}

/* A scan of a whole table, which the caller has locked. */
static inline TableScanDesc
pm_begin_scan(Relation table, Snapshot snapshot)
{
#if PG_VERSION_NUM >= 190000
	return table_beginscan(table, snapshot, 0, NULL, SO_NONE);
#else
	return table_beginscan(table, snapshot, 0, NULL);
#endif
}

#endif							/* PM_COMPAT_H */
