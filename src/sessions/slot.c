/*
 * slot.c
 *		Reading the slot of a session that a scan has found.
 */
#include "postgres.h"

#include "accounts/sheet.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "sessions/slot.h"
#include "storage/proc.h"

PmSlots    *pm_slots = NULL;

static Size
slots_size(void)
{
	return add_size(offsetof(PmSlots, all), mul_size(MaxBackends, sizeof(PmSlot)));
}

static Size
explain_slots(StringInfo text)
{
	/* and its sheet, which is of the folder below */
	Size		size = add_size(slots_size(), pm_sheets_section.size());

	appendStringInfo(text, "Sessions (\"max_connections\" %d and other processes): %zu MB. ", MaxConnections, size >> 20);
	return size;
}

static void
attach_slots(void *memory)
{
	pm_slots = memory;
}

static void
init_slots(void)
{
	LWLockInitialize(&pm_slots->ask_lock.lock, pm_tranche());
}

const PmSection pm_slots_section = {
	.name = "slots",
	.size = slots_size,
	.attach = attach_slots,
	.init = init_slots,
	.explain = explain_slots,
};

PmSlots *
pm_slots_memory(void)
{
	return pm_slots;
}

/* A number that is equal for equal names. */
uint64
pm_names_identity(const char *datname, const char *usename)
{
	return hash_bytes_extended((const unsigned char *) datname, strlen(datname),
							   hash_bytes_extended((const unsigned char *) usename, strlen(usename), 0));
}

/* The slot of this very session, NULL if it has none (any more). */
static PmSlot *
slot_of(const PmSession *session)
{
	PmSlot	   *slot;

	if (!pm_preloaded)
		return NULL;
	slot = &pm_slots->all[session->index];
	if (pg_atomic_read_u32(&slot->pid) != (uint32) session->pid)
		return NULL;
	pg_read_barrier();
	return slot->backend_start == session->backend_start ? slot : NULL;
}

/* Is it still there, and has a slot? Sure only while nothing can end it. */
bool
pm_slot_is(const PmSession *session)
{
	return slot_of(session) != NULL;
}

/*
 * The names that the session logged in with, into buffers of NAMEDATALEN.
 * False, and no names, when it has no slot. No lock; see PmSlot.
 */
bool
pm_slot_names(const PmSession *session, char *datname, char *usename)
{
	PmSlot	   *slot = slot_of(session);

	if (slot == NULL)
		return false;
	strlcpy(datname, slot->datname, NAMEDATALEN);
	strlcpy(usename, slot->usename, NAMEDATALEN);
	pg_read_barrier();
	return slot_of(session) != NULL;
}

/*
 * The role that the session began to act as, which its owner may have set to
 * another than the one it logged in with; invalid when it has no slot or has not
 * begun. It may have changed since: the handler sees to that.
 */
Oid
pm_slot_role(const PmSession *session)
{
	PmSlot	   *slot = slot_of(session);
	Oid			role = slot ? pg_atomic_read_u32(&slot->role) : InvalidOid;

	pg_read_barrier();
	return slot_of(session) ? role : InvalidOid;
}

/*
 * When the session began, and when it was last used, in us of the monotonic clock.
 * False, and neither, when it has no slot. No lock; see PmSlot.
 */
bool
pm_slot_stamps(const PmSession *session, int64 *begun_at, int64 *used_at)
{
	PmSlot	   *slot = slot_of(session);

	if (slot == NULL)
		return false;
	*begun_at = slot->begun_at;
	*used_at = slot->used_at;
	pg_read_barrier();
	return slot_of(session) != NULL;
}

/*
 * Has its client's pool only reported since it was last used, which was then (us,
 * monotonic)? No lock; see PmSlot.
 */
bool
pm_slot_only_reports(const PmSession *session, int64 *used_at)
{
	PmSlot	   *slot = slot_of(session);

	if (slot == NULL || !slot->only_reports)
		return false;
	*used_at = slot->used_at;
	pg_read_barrier();
	return slot_of(session) != NULL;
}

/* What the session's process waits for right now; 0: for nothing, or it has no slot. No lock. */
uint32
pm_slot_wait(const PmSession *session)
{
	PmSlot	   *slot = slot_of(session);

	return slot != NULL ? *(volatile uint32 *) &slot->proc->wait_event_info : 0;
}

/* A number that is equal for equal names; 0 when the session has no slot. */
uint64
pm_slot_identity(const PmSession *session)
{
	PmSlot	   *slot = slot_of(session);
	uint64		identity = slot ? slot->identity : 0;

	pg_read_barrier();
	return slot_of(session) ? identity : 0;
}
