/*
 * health.c
 *		The view health: is the monitor itself well; and what is said when it was
 *		not preloaded.
 *
 * It must say so in every state, so it needs nothing: what cannot be known is NULL.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/result.h"
#include "base/shmem.h"
#include "base/wake.h"
#include "events/ring.h"
#include "history/rings.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "sessions/slot.h"
#include "statfile/statfile.h"
#include "statfile/statformat.h"

#define LATE_SAMPLE		10000	/* ms; and three intervals */

typedef struct Health
{
	int			worker;
	TimestampTz sampled_at;
	int64		sample_age;		/* ms, monotonic; -1: there is none */
	TimestampTz saved_at;
	int			save_error;
	TimestampTz loaded_at;
	PmLoadResult load_result;
	char		load_message[PM_LOAD_MESSAGE_LEN];
	int			declared;
	int			in_force;
	int			applications;
	int			events;
	int			slots;
} Health;

static void
look_at_declarations(Health *health)
{
	LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	health->loaded_at = pm_declarations->loaded_at;
	health->load_result = pm_declarations->load_result;
	strlcpy(health->load_message, pm_declarations->load_message, PM_LOAD_MESSAGE_LEN);
	health->declared = pm_declarations->load_declared;
	health->in_force = pm_rules_in_force()->npools;
	LWLockRelease(&pm_accounts->lock.lock);
}

static void
look_at_room(Health *health)
{
	for (int i = pm_first_application(); i < pm_other_account(); i++)
		health->applications += pm_account_ready(i);
	for (int i = 0; i < MaxBackends; i++)
		health->slots += pg_atomic_read_u32(&pm_slots->all[i].pid) != 0;
	LWLockAcquire(&pm_event_ring->lock, LW_SHARED);
	health->events = pm_event_ring->all.count;
	LWLockRelease(&pm_event_ring->lock);
}

static void
look(Health *health)
{
	int64		last_tick = pm_history_rings->last_tick;

	health->worker = pm_worker_pid();
	health->sampled_at = pm_history_rings->last_wall;
	health->sample_age = last_tick == 0 ? -1 : Max(pm_monotonic_us() - last_tick, 0) / 1000;
	pm_statfile_look(&health->saved_at, &health->save_error);
	look_at_declarations(health);
	look_at_room(health);
}

/* The gravest of what is wrong. */
static const char *
status_of(const Health *health)
{
	if (health->worker == 0)
		return "no worker";
	if (health->sample_age < 0 || health->sample_age > Max(LATE_SAMPLE, INT64CONST(3) * pm_sample_interval))
		return "no samples";
	if (health->load_result != PM_LOAD_OK)
		return "declarations not loaded";
	if (health->declared > health->in_force)
		return "too many pools";
	if (health->save_error != 0)
		return "statistics not saved";
	return "ok";
}

static void
put_error(PmRow *row, int error)
{
	pm_put_text(row, error == 0 ? NULL : strerror(error));
}

static void
put_health(PmRow *row, const Health *health)
{
	pm_put_text(row, status_of(health));
	if (health->worker != 0)
		pm_put_int(row, health->worker);
	else
		pm_put_null(row);
	pm_put_time(row, health->sampled_at);
	pm_put_time(row, health->saved_at);
	put_error(row, health->save_error);
	pm_put_time(row, health->loaded_at);
	pm_put_text(row, health->load_message[0] == '\0' ? NULL : health->load_message);
	pm_put_int(row, health->declared);
	pm_put_int(row, health->in_force);
	pm_put_int(row, pm_max_pools);
	pm_put_int(row, health->applications);
	pm_put_int(row, pm_max_applications);
	pm_put_int(row, health->events);
	pm_put_int(row, pm_max_events);
	pm_put_int(row, health->slots);
	pm_put_int(row, MaxBackends);
}

PG_FUNCTION_INFO_V1(pm_health);

Datum
pm_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Health		health = {0};
	PmRow		row = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (pm_preloaded)
	{
		look(&health);
		put_health(&row, &health);
	}
	else
	{
		pm_put_text(&row, "not preloaded");
		while (row.ncolumns < result->setDesc->natts - 2)
			pm_put_null(&row);
	}
	pm_put_int(&row, PM_STATFILE_FORMAT);
	pm_put_text(&row, PM_VERSION);
	pm_put_row(result, &row);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(pm_tell_of_preload);

/* For the install script: the server lets nothing below a WARNING of one through. */
Datum
pm_tell_of_preload(PG_FUNCTION_ARGS)
{
	if (!pm_preloaded)
		ereport(WARNING,
				(errmsg("pool_monitor is not loaded via \"shared_preload_libraries\": no pool is watched, nothing is counted"),
				 errhint("Add pool_monitor to \"shared_preload_libraries\" in postgresql.conf and restart the server.")));
	PG_RETURN_VOID();
}
