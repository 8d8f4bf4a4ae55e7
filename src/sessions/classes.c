/*
 * classes.c
 *		Sorts sessions into classes, and finds the pool of each.
 *
 * Matching a session against every declaration costs a few LIKEs for each pool.
 * Sessions with equal names and address always get the same answer, so it is looked
 * up once for each class, and kept with it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "sessions/classes.h"
#include "sessions/slot.h"

typedef struct ClassEntry
{
	const PmClassKey *key;
	PmClass    *class;
	uint32		hash;
	char		status;
} ClassEntry;

/* Is any byte of the word zero? */
static inline bool
has_zero_byte(uint64 word)
{
	return ((word - UINT64CONST(0x0101010101010101)) & ~word &
			UINT64CONST(0x8080808080808080)) != 0;
}

static inline uint64
mix(uint64 hash, uint64 value)
{
	hash = (hash ^ value) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

/* Hashes a name in a buffer of NAMEDATALEN, whole words first. */
static inline uint64
hash_name(const char *name)
{
	uint64		hash = 0;
	int			i = 0;
	uint64		word;

	for (; i < NAMEDATALEN; i += sizeof(word))
	{
		memcpy(&word, name + i, sizeof(word));
		if (has_zero_byte(word))
			break;
		hash = mix(hash, word);
	}
	for (; i < NAMEDATALEN && name[i] != '\0'; i++)
		hash = mix(hash, (unsigned char) name[i]);
	return hash;
}

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

/* In the memory context given, as its classes will be. */
struct classes_hash *
pm_classes_create(MemoryContext context)
{
	return classes_create(context, 64, NULL);
}

int
pm_classes_count(const struct classes_hash *classes)
{
	return (int) classes->members;
}

static void
find_pool(PmClass *class, const PmRules *rules)
{
	PmIdentity	who = {
		.application_name = class->application_name,
		.datname = class->named ? class->datname : NULL,
		.usename = class->named ? class->usename : NULL,
		.client_addr = class->key.client_addr,
	};
	const PmPool *pool;

	class->recycle_after = class->idle_limit = class->leak_after = PG_INT64_MAX;
	class->pool = pm_match(rules->pools, rules->leads, 0, rules->npools, &who);
	if (class->pool < 0)
		return;
	pool = &rules->pools[class->pool];
	if (pool->pool_recycle >= 0)
		class->recycle_after = pool->pool_recycle;
	class->idle_limit = pool->idle_limit;
	class->leak_after = pool->leak_threshold;
}

/*
 * A class that was not met before. The session may have ended since it was
 * scanned: then its names are not to be had, and it must not speak for the
 * living ones that have them; it goes to the class without names.
 */
static PmClass *
new_class(struct classes_hash *classes, const PmRules *rules, PmClassKey *key, const PmSession *session)
{
	PmClass    *class = MemoryContextAllocZero(classes->ctx, sizeof(PmClass));
	ClassEntry *entry;
	bool		found;

	class->named = key->identity != 0 && pm_slot_names(session, class->datname, class->usename);
	if (!class->named && key->identity != 0)
	{
		key->identity = 0;
		entry = classes_lookup(classes, key);
		if (entry != NULL)
		{
			pfree(class);
			return entry->class;
		}
	}
	class->key = *key;
	class->name_size = strlcpy(class->application_name, key->application_name, NAMEDATALEN) + 1;
	class->key.application_name = class->application_name;
	find_pool(class, rules);
	entry = classes_insert(classes, &class->key, &found);
	entry->class = class;
	return class;
}

/*
 * The session's class. Of the key, the name, in a buffer of NAMEDATALEN, the OIDs and
 * the address are the caller's to fill in.
 */
PmClass *
pm_class_find(struct classes_hash *classes, const PmRules *rules, PmClassKey *key, const PmSession *session)
{
	ClassEntry *entry;

	key->name_hash = hash_name(key->application_name);
	key->identity = pm_slot_identity(session);
	entry = classes_lookup(classes, key);
	return entry != NULL ? entry->class : new_class(classes, rules, key, session);
}

/* The limits that are not PG_INT64_MAX are of a year at most. */
static inline TimestampTz
calm_for(TimestampTz since, int64 limit)
{
	return limit == PG_INT64_MAX ? PG_INT64_MAX : since + limit;
}

/*
 * Until when, as long as the session does not change, it is by the wall clock below
 * each limit of its pool: what pm_tally_flags() would find out.
 */
TimestampTz
pm_class_calm_until(const PmClass *class, const PmSession *session)
{
	TimestampTz until = calm_for(session->backend_start, class->recycle_after);
	TimestampTz xact_since = pm_xact_since(session);

	if (session->state == PM_STATE_IDLE)
		until = Min(until, calm_for(session->state_change, class->idle_limit));
	if (xact_since != 0)
		until = Min(until, calm_for(xact_since, class->leak_after));
	return until;
}
