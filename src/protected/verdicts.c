/*
 * verdicts.c
 *		Which roles' sessions are never retired: superusers', and those of
 *		protected_roles and their members.
 *
 * Anybody with CREATEROLE can make a role a member of a hundred thousand others,
 * and change that all the time, so nothing here may take as long as there are
 * roles. Three things see to it:
 *
 *		A verdict is remembered for each role, until the server tells that a role
 *		or a membership has changed anywhere (lookups.c).
 *		What a role is a member of is walked through in slices of time (walk.c).
 *		The worker says how long it can spare, pm_verdicts_begin(). When that time
 *		is used up, or a catalog is locked, a role that is not known is a protected
 *		one until the next time. A verdict that keeps sessions holds for
 *		KEPT_FOR then, one of a walk that was cut off for CUT_OFF_FOR, so that under
 *		steady changes each look knows more than the last one, and not the same
 *		again; and that those with many memberships leave time for the others.
 *
 * So a role that nobody has come to the end of is never retired; and one that was
 * granted is known as soon as the grant is: "may be retired" is never older than
 * the last change of any role or membership that this process has heard of. Just
 * before it asks a session, a process listens once more: pm_verdict_anew().
 */
#include "postgres.h"

#include "base/clock.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "protected/lookups.h"
#include "protected/names.h"
#include "protected/verdicts.h"
#include "protected/walk.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#define MOST_VERDICTS	10000	/* when there are more, all are forgotten */
#define CUT_OFF_FOR		1000	/* ms */
#define KEPT_FOR		10000	/* ms */
#define LOOKS			3		/* until no change comes in between */

typedef struct Verdict
{
	Oid			role;
	PmReason	reason;
	uint64		generation;		/* in which it was found; 0: cut off */
	int64		at;				/* ms, monotonic */
	char		status;
} Verdict;

#define SH_PREFIX verdicts
#define SH_ELEMENT_TYPE Verdict
#define SH_KEY_TYPE Oid
#define SH_KEY role
#define SH_HASH_KEY(table, k) murmurhash32(k)
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static verdicts_hash *verdicts = NULL;
static bool put_off = false;	/* since pm_verdicts_begin() */

/* Once in a process, and after an error that has cost the table. */
static void
start(void)
{
	static MemoryContext memory = NULL;

	if (verdicts != NULL)
		return;
	pm_lookups_start();
	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "pool_monitor verdicts", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(memory);
	verdicts = verdicts_create(memory, 64, NULL);
}

/* An error may leave a table that is half grown: it is not there until all has gone well. */
static Verdict *
add(Oid role)
{
	verdicts_hash *table = verdicts;
	Verdict    *verdict;
	bool		found;

	verdicts = NULL;
	verdict = verdicts_insert(table, role, &found);
	verdicts = table;
	return verdict;
}

static void
remember(Oid role, PmReason reason, uint64 found_in)
{
	Verdict    *verdict;

	if (verdicts->members >= MOST_VERDICTS)
		verdicts_reset(verdicts);
	verdict = add(role);
	verdict->reason = reason;
	verdict->generation = found_in;
	verdict->at = pm_monotonic_ms();
}

static bool
holds(const Verdict *verdict)
{
	if (verdict->generation == pm_roles_generation())
		return true;
	return pm_lookups_limited() && verdict->reason != PM_REASON_NONE &&
		pm_monotonic_ms() - verdict->at < (verdict->generation == 0 ? CUT_OFF_FOR : KEPT_FOR);
}

/* Is it protected? False: that is not known yet. */
static bool
look_up_memberships(Oid role, uint64 found_in)
{
	bool		is_protected;

	switch (pm_walk(role, &found_in, &is_protected))
	{
		case PM_WALK_NOT_BEGUN:
			return false;
		case PM_WALK_CUT_OFF:
			remember(role, PM_REASON_PROTECTED, 0);
			return false;
		case PM_WALK_OVER:
			remember(role, is_protected ? PM_REASON_PROTECTED : PM_REASON_NONE, found_in);
			return true;
	}
	return false;				/* keep the compiler quiet */
}

/* False: not now. */
static bool
look_up(Oid role)
{
	uint64		found_in;

	if (!pm_lookups_have_time())
		return false;
	found_in = pm_protected_find();
	if (superuser_arg(role))
	{
		remember(role, PM_REASON_SUPERUSER, found_in);
		return true;
	}
	if (!pm_protected_any())
	{
		remember(role, PM_REASON_NONE, found_in);
		return true;
	}
	return look_up_memberships(role, found_in);
}

/*
 * From now on, and until it is called again, look-ups may take so many ms in all;
 * negative: as long as they need. In a transaction, at its beginning.
 */
void
pm_verdicts_begin(int64 budget_ms)
{
	start();
	pm_lookups_begin(budget_ms);
	put_off = false;
	if (pm_protected_setting_changed())
	{
		verdicts_reset(verdicts);
		pm_walk_forget();
	}
}

/* Was anybody taken for protected because there was no time to look? */
bool
pm_verdicts_put_off(void)
{
	return put_off;
}

/*
 * Why the role's sessions are never retired, PM_REASON_NONE if they may be. In a
 * transaction, after pm_verdicts_begin(). What does not hold any more when it is
 * found, because a change was heard of meanwhile, is looked up again.
 */
PmReason
pm_verdict(Oid role)
{
	for (int i = 0; i <= LOOKS; i++)
	{
		Verdict    *verdict = verdicts_lookup(verdicts, role);

		if (verdict != NULL && holds(verdict))
			return verdict->reason;
		if (i == LOOKS || !look_up(role))
			break;
	}
	put_off = true;
	return PM_REASON_PROTECTED;
}

/*
 * The same of a session that is about to be asked, by the role it logged in with and
 * the one it acts as: listens for changes before. In a transaction, after
 * pm_verdicts_begin().
 */
PmReason
pm_verdict_anew(Oid login_role, Oid role)
{
	PmReason	reason;

	AcceptInvalidationMessages();
	reason = pm_verdict(login_role);
	if (reason == PM_REASON_NONE && OidIsValid(role) && role != login_role)
		reason = pm_verdict(role);
	return reason;
}
