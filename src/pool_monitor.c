/*
 * pool_monitor.c
 *		Module magic and start-up: wires the other files to the server.
 */
#include "postgres.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "client/logins.h"
#include "client/session.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pools/changes.h"
#include "worker/errands.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*
 * Without shared_preload_libraries the settings exist and the functions that
 * need no shared memory work; nothing is hooked.
 */
void
_PG_init(void)
{
	pm_guc_define();
	if (!process_shared_preload_libraries_in_progress)
		return;

	pm_shmem_install();
	pm_session_install();
	pm_logins_install();
	pm_declarations_install();
	pm_worker_register();
	pm_errands_register();
}
