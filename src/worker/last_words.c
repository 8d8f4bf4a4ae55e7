/*
 * last_words.c
 *		What the log says of the process that does errands.
 *
 * emit_log_hook runs in every process that logs; see logins.c for what it may do.
 */
#include "postgres.h"

#include "base/shmem.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "storage/pg_shmem.h"
#include "utils/elog.h"
#include "worker/errands.h"

static emit_log_hook_type prev_emit_log_hook = NULL;

/*
 * In the postmaster: is this its line about an exit that errands.c intends? One
 * after each errand would fill the log of a standby. Only an exit whose callbacks
 * have run is one: a crash stays in the log. The message may be translated.
 */
static bool
is_exit_of_errands(const ErrorData *edata)
{
	uint32		exits;

	if (IsUnderPostmaster || edata->elevel != LOG || UsedShmemSegAddr == NULL || !pm_preloaded ||
		edata->message_id == NULL || edata->message == NULL ||
		strcmp(edata->message_id, "%s (PID %d) exited with exit code %d") != 0 ||
		strstr(edata->message, PM_ERRANDS_NAME) == NULL)
		return false;
	exits = pg_atomic_read_u32(&pm_errands->words.orderly_exits);
	if (exits == pm_errands->words.hidden_exits)
		return false;
	pm_errands->words.hidden_exits = exits;
	return true;
}

/* Why this process ends, for the worker to tell, if it is on an errand. */
static void
note_last_words(const ErrorData *edata)
{
	if (pm_on_errand && edata->elevel >= ERROR && edata->message != NULL)
		strlcpy(pm_errands->words.fatal, edata->message, PM_LOAD_MESSAGE_LEN);
}

static void
on_log(ErrorData *edata)
{
	note_last_words(edata);
	if (is_exit_of_errands(edata))
		edata->output_to_server = false;
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

void
pm_last_words_install(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = on_log;
}
