/*
 * pool_monitor_terminate.c
 *		Sends the worker a SIGTERM in the middle of reading its file of statistics, for the
 *		tests.
 *
 * Preloaded: the moment is the WARNING that tells what of the file is not known, the first
 * one of a data directory. It is there before that message is done, which then looks for
 * interrupts.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/elog.h"

PG_MODULE_MAGIC;

#define DONE	"pool_monitor_terminate.done"
#define MOMENT	"pool_monitor does not know all that is in its file of statistics"

extern PGDLLEXPORT void _PG_init(void);

static emit_log_hook_type next_hook = NULL;

static bool
is_first(void)
{
	int			fd = open(DONE, O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void
terminate(ErrorData *error)
{
	if (next_hook != NULL)
		next_hook(error);
	if (error->message != NULL && strncmp(error->message, MOMENT, strlen(MOMENT)) == 0 && is_first())
		(void) kill(MyProcPid, SIGTERM);
}

void
_PG_init(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = terminate;
}
