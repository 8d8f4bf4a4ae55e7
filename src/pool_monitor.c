/*
 * pool_monitor.c
 *		Module magic and start-up: the list of the modules.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/roles.h"
#include "accounts/seats.h"
#include "accounts/sheet.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/wake.h"
#include "client/logins.h"
#include "client/reports.h"
#include "client/session.h"
#include "events/ring.h"
#include "fmgr.h"
#include "history/rings.h"
#include "miscadmin.h"
#include "pools/changes.h"
#include "pools/declared.h"
#include "retire/pace.h"
#include "sessions/slot.h"
#include "statfile/statfile.h"
#include "views/memory.h"
#include "worker/errands.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* In shared memory, in this order. */
static const PmSection *const sections[] = {
	&pm_wake_section,
	&pm_accounts_section,
	&pm_roles_section,
	&pm_sheets_section,
	&pm_seats_section,
	&pm_declarations_section,
	&pm_slots_section,
	&pm_history_section,
	&pm_events_section,
	&pm_retirement_section,
	&pm_statfile_section,
	&pm_errands_section,
	&pm_reports_section,
	&pm_idle_memory_section,
};

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

	pm_shmem_install(sections, lengthof(sections));
	pm_session_install();
	pm_logins_install();
	pm_last_words_install();
	pm_changes_install();
	pm_worker_register();
	pm_errands_register();
}
