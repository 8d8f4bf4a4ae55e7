/*
 * walk.h
 *		Is a role a protected one, or a member of one?
 */
#ifndef PM_WALK_H
#define PM_WALK_H

typedef enum PmWalkEnd
{
	PM_WALK_NOT_BEGUN,			/* memberships cannot be read now */
	PM_WALK_CUT_OFF,			/* it goes on when it is asked for again */
	PM_WALK_OVER
} PmWalkEnd;

/*
 * In a transaction, when protected_roles are found; *generation is the one in which that
 * was, afterwards the one in which the walk began. *is_protected where it is over.
 */
extern PmWalkEnd pm_walk(Oid role, uint64 *generation, bool *is_protected);

/* What was cut off begins anew. */
extern void pm_walk_forget(void);

#endif							/* PM_WALK_H */
