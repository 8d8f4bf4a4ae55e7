/*
 * memberships.h
 *		All memberships of roles in memory, for a process that has no index.
 */
#ifndef PM_MEMBERSHIPS_H
#define PM_MEMBERSHIPS_H

typedef struct PmMembership
{
	Oid			member;
	Oid			role;
} PmMembership;

/* In a transaction. Are they there as they are now? Reads them if it is time to. */
extern bool pm_memberships_ready(void);

/* After that: all of them, and how many. */
extern const PmMembership *pm_memberships(int *n);

#endif							/* PM_MEMBERSHIPS_H */
