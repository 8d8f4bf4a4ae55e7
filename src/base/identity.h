/*
 * identity.h
 *		What identifies a session.
 */
#ifndef PM_IDENTITY_H
#define PM_IDENTITY_H

#define PM_NAME_LEN		64		/* a name with its terminating zero */

/* An IP address; family 0 is a Unix-domain socket, else 4 or 6. */
typedef struct PmAddr
{
	uint8		family;
	uint8		bytes[16];
} PmAddr;

/* What a declaration can ask of a session. A NULL name matches "any" only. */
typedef struct PmIdentity
{
	const char *application_name;
	const char *datname;
	const char *usename;
	PmAddr		client_addr;
} PmIdentity;

/*
 * Whose an account, and an event, is: a pool is known by its name; a discovered
 * application by its application_name, and the database and role under which it logged
 * in. Names that are too long are cut; a pool has the others empty.
 */
typedef struct PmOwner
{
	bool		discovered;
	char		name[PM_NAME_LEN];
	char		datname[PM_NAME_LEN];
	char		usename[PM_NAME_LEN];
} PmOwner;

extern PmOwner pm_owner_pool(const char *name);
extern PmOwner pm_owner_application(const PmIdentity *who);
extern bool pm_owner_equal(const PmOwner *a, const PmOwner *b);
extern uint64 pm_owner_hash(const PmOwner *owner, uint64 seed);
extern uint64 pm_owner_role_hash(const PmOwner *owner);

#endif							/* PM_IDENTITY_H */
