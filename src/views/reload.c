/*
 * reload.c
 *		reload(): has the declarations loaded, and waits for it.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/wake.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "views/common.h"
#include "views/lint.h"
#include "views/reload.h"

#define LOAD_TIMEOUT	10000	/* ms */
#define LOAD_INTERVAL	10		/* ms */
#define GUARD_TIMEOUT	5000	/* ms */

static bool
load_finished(uint64 ticket, PmLoadOutcome *outcome)
{
	bool		finished;

	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	finished = pm_declarations->load_done >= ticket;
	outcome->result = pm_declarations->load_result;
	outcome->in_force = Min(pm_declarations->load_declared, pm_max_pools);
	strlcpy(outcome->message, pm_declarations->load_message, PM_LOAD_MESSAGE_LEN);
	LWLockRelease(&pm_accounts->lock.lock);
	return finished;
}

/*
 * Waits until the load with this ticket is done; raises an error when it failed
 * or takes too long.
 */
void
pm_wait_for_load(uint64 ticket, PmLoadOutcome *outcome)
{
	int64		deadline = pm_monotonic_ms() + LOAD_TIMEOUT;

	while (!load_finished(ticket, outcome))
	{
		if (pm_monotonic_ms() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the declared pools were not loaded within %d seconds", LOAD_TIMEOUT / 1000),
					 errhint("The load was asked for and will be done. Look into the server log for what keeps the workers \"pool_monitor\" and \"pool_monitor errands\".")));
		pm_nap("PoolMonitorReload", LOAD_INTERVAL);
	}
	if (outcome->result != PM_LOAD_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not load the declared pools: %s", outcome->message),
				 errhint("%s", pm_load_hint(outcome->result))));
}

/* The guards go by these declarations, or by later ones. */
static bool
guards_follow(uint64 generation)
{
	return pg_atomic_read_u64(&pm_seats->terms_of) >= generation &&
		pg_atomic_read_u32(&pm_seats->changes) == pg_atomic_read_u32(&pm_seats->settled);
}

/*
 * What is loaded is in force for the guards when the worker has looked at all sessions, which
 * it does at once. Whoever is told that it is loaded does not come before that; if it takes
 * too long, he is told.
 */
static void
wait_for_guards(void)
{
	int64		deadline = pm_monotonic_ms() + GUARD_TIMEOUT;
	uint64		generation = pg_atomic_read_u64(&pm_declarations->generation);

	while (!guards_follow(generation))
	{
		if (pm_monotonic_ms() >= deadline)
		{
			ereport(WARNING,
					(errmsg("the declared pools are loaded, but after %d seconds the guards do not go by them yet", GUARD_TIMEOUT / 1000),
					 errhint("See \"armed\" in pool_monitor.guards, and the server log for what keeps the worker \"pool_monitor\".")));
			return;
		}
		pm_nap("PoolMonitorReload", LOAD_INTERVAL);
	}
}

PG_FUNCTION_INFO_V1(pm_reload);

/*
 * Reads the declarations again, as they are committed, and waits until they are in force: the
 * number of pools, or the reason why not as an error. What is odd about them is
 * warned of, in the words of other pools' declarations: to those who may read these. The
 * function can be granted to others.
 */
Datum
pm_reload(PG_FUNCTION_ARGS)
{
	PmLoadOutcome outcome;
	uint64		ticket;

	pm_require_preload();
	ticket = pg_atomic_add_fetch_u64(&pm_declarations->load_requested, 1);
	pm_wake_worker();
	pm_wait_for_load(ticket, &outcome);
	wait_for_guards();
	if (pm_sees_all())
		pm_warn_of_declarations();
	PG_RETURN_INT32(outcome.in_force);
}

PG_FUNCTION_INFO_V1(pm_declarations_loaded);

/* declarations_loaded(). */
Datum
pm_declarations_loaded(PG_FUNCTION_ARGS)
{
	Oid			database;
	Oid			table;

	pm_require_preload();
	pm_load_watch(&database, &table);
	PG_RETURN_BOOL(OidIsValid(database));
}
