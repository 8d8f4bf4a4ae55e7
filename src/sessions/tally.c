/*
 * tally.c
 *		Sorts sessions into classes and pools, flags and counts them.
 *
 * Matching a session against every declaration costs a few LIKEs for each
 * pool. Sessions with equal names (and address, where a declaration asks for
 * it) always get the same answer, so it is looked up once per class: thousands
 * of sessions of one application cost one match and a hash probe each. With
 * thousands of sessions the rest is waiting for memory, so a session's slot is
 * not even looked at unless a declaration asks for a database or a role, or the
 * session is old by the wall clock: who is young by that is young.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/guc.h"
#include "common/hashfn.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/timestamp.h"

#define TOGETHER 10000			/* us, between two clocks read at one moment */

typedef struct ClassEntry
{
	const PmClassKey *key;
	PmClass    *class;
	uint32		hash;
	char		status;
} ClassEntry;

/* The name is hashed already; roles and databases of one application are few. */
static inline uint32
key_hash(const PmClassKey *key)
{
	uint64		hash = key->name_hash ^ key->identity ^ ((uint64) key->datid << 32 | key->userid);

	if (key->client_addr.family != 0)
		hash ^= hash_bytes(key->client_addr.bytes, sizeof(key->client_addr.bytes));
	return (uint32) murmurhash32((uint32) (hash ^ (hash >> 32)));
}

static inline bool
key_equal(const PmClassKey *a, const PmClassKey *b)
{
	return a->name_hash == b->name_hash &&
		a->datid == b->datid &&
		a->userid == b->userid &&
		a->identity == b->identity &&
		memcmp(&a->client_addr, &b->client_addr, sizeof(PmAddr)) == 0 &&
		strcmp(a->application_name, b->application_name) == 0;
}

#define SH_PREFIX classes
#define SH_ELEMENT_TYPE ClassEntry
#define SH_KEY_TYPE const PmClassKey *
#define SH_KEY key
#define SH_HASH_KEY(table, k) key_hash(k)
#define SH_EQUAL(table, a, b) key_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * The moment by both clocks. The process may have to wait between two readings:
 * then it was not one moment, and they are read again.
 */
static void
read_clocks(PmTally *tally)
{
	int64		before;
	int			tries = 10;

	do
	{
		before = pm_monotonic_us();
		tally->now = GetCurrentTimestamp();
		tally->at = pm_monotonic_us();
	} while (tally->at - before > TOGETHER && --tries > 0);
}

/* Allocates in the current memory context. May take the lock of the rules. */
void
pm_tally_begin(PmTally *tally)
{
	read_clocks(tally);
	tally->rules = pm_rules_current();
	tally->by_login = tally->rules->by_login;
	tally->classes = classes_create(CurrentMemoryContext, 64, NULL);
	tally->shares = NULL;
}

void
pm_tally_end(PmTally *tally)
{
	classes_destroy(tally->classes);
}

/* The names of login are in class already, if they are known. */
static void
init_class(const PmTally *tally, PmClass *class, const PmClassKey *key, const PmSession *session)
{
	PmIdentity	who = {
		.application_name = key->application_name,
		.datname = class->named ? class->datname : NULL,
		.usename = class->named ? class->usename : NULL,
		.client_addr = session->client_addr,
	};

	class->key = *key;
	strlcpy(class->application_name, key->application_name, NAMEDATALEN);
	class->key.application_name = class->application_name;
	class->account = -1;
	class->pool = pm_match(tally->rules->pools, tally->rules->npools, &who);
}

/*
 * A class that was not met before. The session may have ended since it was
 * scanned: then its names are not to be had, and it must not speak for the
 * living ones that have them; it goes to the class without names.
 */
static PmClass *
new_class(PmTally *tally, PmClassKey *key, const PmSession *session)
{
	PmClass    *class = palloc0(sizeof(PmClass));
	ClassEntry *entry;
	bool		found;

	class->named = key->identity != 0 && pm_slot_names(session, class->datname, class->usename);
	if (!class->named && key->identity != 0)
	{
		key->identity = 0;
		entry = classes_lookup(tally->classes, key);
		if (entry != NULL)
		{
			pfree(class);
			return entry->class;
		}
	}
	init_class(tally, class, key, session);
	entry = classes_insert(tally->classes, &class->key, &found);
	entry->class = class;
	return class;
}

/* The session's class; lives as long as the tally's memory context. */
PmClass *
pm_tally_class(PmTally *tally, const PmSession *session)
{
	ClassEntry *entry;
	PmClassKey	key = {
		.application_name = session->application_name,
		.name_hash = session->name_hash,
		.datid = session->datid,
		.userid = session->userid,
	};

	if (tally->by_login)
		key.identity = pm_slot_identity(session);
	if (tally->rules->by_client_addr)
		key.client_addr = session->client_addr;

	entry = classes_lookup(tally->classes, &key);
	return entry != NULL ? entry->class : new_class(tally, &key, session);
}

static PmAges
ages_by_wall_clock(const PmTally *tally, const PmSession *session)
{
	TimestampTz xact_since = pm_xact_since(session);
	PmAges		ages = {
		.age = pm_elapsed(session->backend_start, tally->now),
		.idle = session->state == PM_STATE_IDLE ? pm_elapsed(session->state_change, tally->now) : -1,
		.xact = xact_since != 0 ? pm_elapsed(xact_since, tally->now) : -1,
	};

	return ages;
}

/*
 * A transaction has been open for no longer than the time since the last one
 * ended; nobody notes by the monotonic clock when one begins. No lock.
 */
PmAges
pm_tally_ages(const PmTally *tally, const PmSession *session)
{
	PmAges		ages = ages_by_wall_clock(tally, session);
	int64		begun_at;
	int64		used_at;

	ages.sure = pm_slot_stamps(session, &begun_at, &used_at);
	if (ages.sure)
	{
		ages.age = Min(ages.age, pm_elapsed(begun_at, tally->at));
		ages.idle = Min(ages.idle, pm_elapsed(used_at, tally->at));
		ages.xact = Min(ages.xact, pm_elapsed(used_at, tally->at));
	}
	return ages;
}

/* What a session is older than that is over age by the margin; us, -1: none is. */
int64
pm_least_age(const PmPool *pool)
{
	if (pool->pool_recycle < 0)
		return -1;
	return pool->pool_recycle + (int64) (pool->pool_recycle / 100.0 * pm_recycle_margin);
}

static PmFlags
flags_of(const PmPool *pool, const PmAges *ages)
{
	PmFlags		flags = {0};

	if (pool->pool_recycle >= 0)
	{
		flags.over_age = ages->age > pool->pool_recycle;
		flags.over_margin = ages->age > pm_least_age(pool);
		flags.stale = flags.over_margin && ages->idle >= pool->recycle_grace;
	}
	flags.idle_over_limit = ages->idle > pool->idle_limit;
	flags.leak_suspect = ages->xact > pool->leak_threshold;
	return flags;
}

/*
 * A session in no pool has no flags. One that the wall clock makes old, but that
 * has no slot to tell by the other clock, is flagged so, and as nothing else.
 */
PmFlags
pm_tally_flags(const PmTally *tally, const PmClass *class, const PmSession *session)
{
	PmFlags		flags = {0};
	PmAges		ages;

	if (class->pool < 0)
		return flags;
	ages = ages_by_wall_clock(tally, session);
	flags = flags_of(&tally->rules->pools[class->pool], &ages);
	if (!flags.over_age && !flags.idle_over_limit && !flags.leak_suspect)
		return flags;

	ages = pm_tally_ages(tally, session);
	if (ages.sure)
		return flags_of(&tally->rules->pools[class->pool], &ages);
	memset(&flags, 0, sizeof(flags));
	flags.no_slot = true;
	return flags;
}

/* The longest ages: who has none of them by the wall clock has none at all. */
static void
note_ages(const PmTally *tally, PmCounts *counts, const PmSession *session)
{
	PmAges		ages = ages_by_wall_clock(tally, session);

	if (ages.age <= counts->oldest && ages.idle <= counts->longest_idle)
		return;
	ages = pm_tally_ages(tally, session);
	counts->oldest = Max(counts->oldest, ages.age);
	counts->longest_idle = Max(counts->longest_idle, ages.idle);
}

void
pm_count(const PmTally *tally, PmCounts *counts, const PmSession *session, const PmFlags *flags)
{
	counts->connections++;
	switch (session->state)
	{
		case PM_STATE_IDLE:
			counts->idle++;
			break;
		case PM_STATE_ACTIVE:
			counts->active++;
			break;
		case PM_STATE_IDLE_IN_TRANSACTION:
			counts->idle_in_transaction++;
			break;
		case PM_STATE_IDLE_IN_TRANSACTION_ABORTED:
			counts->idle_in_transaction_aborted++;
			break;
		case PM_STATE_UNKNOWN:
			break;
	}
	counts->stale += flags->stale;
	counts->idle_over_limit += flags->idle_over_limit;
	counts->leak_suspects += flags->leak_suspect;
	note_ages(tally, counts, session);
}

/* As pg_stat_activity has it; NULL when it is unknown. */
const char *
pm_state_name(PmSessionState state)
{
	switch (state)
	{
		case PM_STATE_IDLE:
			return "idle";
		case PM_STATE_ACTIVE:
			return "active";
		case PM_STATE_IDLE_IN_TRANSACTION:
			return "idle in transaction";
		case PM_STATE_IDLE_IN_TRANSACTION_ABORTED:
			return "idle in transaction (aborted)";
		case PM_STATE_UNKNOWN:
			return NULL;
	}
	return NULL;				/* keep the compiler quiet */
}
