/*
 * refusals.c
 *		Counts SQLSTATE 53300 among client connections, through emit_log_hook.
 *
 * "sorry, too many clients already" is raised before the process has a PGPROC,
 * so this may use atomics only: no lock, no allocation, no error. The hook runs
 * in every process that logs, also in some that have no shared memory attached
 * (any more), and is entered again by whatever logs inside it, so it logs
 * nothing. It is not called for messages that log_min_messages keeps out of the
 * server log: with log_min_messages = panic no refusal is seen.
 */
#include "postgres.h"

#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "refusals.h"
#include "replication/walsender.h"
#include "shmem.h"
#include "storage/pg_shmem.h"
#include "utils/elog.h"

static emit_log_hook_type prev_emit_log_hook = NULL;

/*
 * A role's or a database's own CONNECTION LIMIT has the same SQLSTATE; the
 * server is not out of slots then. Walsenders have slots of their own.
 */
static bool
out_of_slots(const ErrorData *edata)
{
	return edata->elevel == FATAL &&
		edata->sqlerrcode == ERRCODE_TOO_MANY_CONNECTIONS &&
		(edata->funcname == NULL ||
		 (strcmp(edata->funcname, "InitializeSessionUserId") != 0 &&
		  strcmp(edata->funcname, "CheckMyDatabase") != 0));
}

static void
count_refusal(ErrorData *edata)
{
	if (out_of_slots(edata) && !am_walsender && MyProcPort != NULL && pm_shared != NULL && UsedShmemSegAddr != NULL)
		pg_atomic_fetch_add_u64(&pm_shared->refused, 1);

	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

void
pm_refusals_install(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = count_refusal;
}
