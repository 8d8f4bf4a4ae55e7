/*
 * identity.c
 *		Whose something is. No lock, no allocation, no error: also for processes without
 *		PGPROC.
 */
#include "postgres.h"

#include "base/identity.h"
#include "common/hashfn.h"

/* All bytes are set, for comparisons and copies. */
PmOwner
pm_owner_pool(const char *name)
{
	PmOwner		owner;

	memset(&owner, 0, sizeof(owner));
	strlcpy(owner.name, name, PM_NAME_LEN);
	return owner;
}

/* A name that the client did not give is empty. */
PmOwner
pm_owner_application(const PmIdentity *who)
{
	PmOwner		owner = pm_owner_pool(who->application_name ? who->application_name : "");

	owner.discovered = true;
	strlcpy(owner.datname, who->datname ? who->datname : "", PM_NAME_LEN);
	strlcpy(owner.usename, who->usename ? who->usename : "", PM_NAME_LEN);
	return owner;
}

bool
pm_owner_equal(const PmOwner *a, const PmOwner *b)
{
	return a->discovered == b->discovered && strcmp(a->name, b->name) == 0 &&
		strcmp(a->datname, b->datname) == 0 && strcmp(a->usename, b->usename) == 0;
}

static uint64
hash_name(const char *name, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) name, strlen(name), seed);
}

/*
 * Names can be made up that have the hash of others, where the seed is known: it does not
 * stand for equality.
 */
uint64
pm_owner_hash(const PmOwner *owner, uint64 seed)
{
	uint64		hash = hash_name(owner->name, seed + owner->discovered);

	return hash_name(owner->usename, hash_name(owner->datname, hash));
}

/* Equal for applications of one role. */
uint64
pm_owner_role_hash(const PmOwner *owner)
{
	return hash_name(owner->usename, 0);
}
