/*
 * roles.h
 *		Some login roles of each account, whose connects are counted apart.
 *
 * Retirement chooses them (retire/pauses.c); what is normal for each is learnt by
 * history/storms.c.
 */
#ifndef PM_ROLES_H
#define PM_ROLES_H

#include "base/shmem.h"
#include "port/atomics.h"

#define PM_MOST_ROLES	4		/* of one account at a time */

/* What is normal, as an average: storms.c. */
typedef struct PmNormal
{
	double		rate;			/* connects a second */
	int			windows;		/* that it is made of */
} PmNormal;

/*
 * The worker's, but for the first two: a session that begins reads the role, and
 * counts itself, without a lock. Who begins while the place changes hands may be
 * counted for the one before.
 */
typedef struct PmRole
{
	pg_atomic_uint32 oid;		/* invalid (0): the place is free */
	pg_atomic_uint64 connects;	/* never set back */

	PmNormal	normal;			/* where no answer to a retirement is awaited,
								 * and of good ones */
	int64		calm_since;		/* ms, monotonic: since when none is awaited,
								 * unless watched */
	int64		watched_since;	/* likewise: one is, since then; 0: none */
} PmRole;

typedef struct PmRoles
{
	uint32		incarnation;	/* of the account that they are of */
	PmRole		of[PM_MOST_ROLES];
} PmRoles;

extern const PmSection pm_roles_section;

/* For the worker: those of an account. */
extern PmRoles *pm_roles_of(int account);

/* Where the ith of them is, whoever it is. */
extern PmRole *pm_role_place(int account, int i);

/* A session of this role has begun in the account. No lock. */
extern void pm_role_connected(int account, Oid role);

#endif							/* PM_ROLES_H */
