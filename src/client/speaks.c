/*
 * speaks.c
 *		Whose reports of a pool count.
 *
 * By what clients report sizes are proposed, and what one pool gets another one does not. Who
 * may log in under a pool's application_name is in that pool; he is not to speak for it. So
 * reports count of the roles that the pool's declaration names (usename), and where it names
 * none, of a role that has half of its sessions at least at that moment. Others are shown, and
 * add to no sum of the pool.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/sheet.h"
#include "base/compat.h"
#include "client/speaks.h"
#include "miscadmin.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/slot.h"
#include "storage/proc.h"

/* NULL: it names none. */
static const PmPattern *
roles_named(const PmPool *pool)
{
	return pool != NULL && pool->usename.limited ? &pool->usename : NULL;
}

static const PmPool *
pool_of(int account)
{
	const PmRules *rules = pm_rules_current();

	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->accounts[i] == account)
			return &rules->pools[i];
	}
	return NULL;
}

/*
 * A look, without locks: who comes or goes meanwhile may be in it or not. A PGPROC stays where it
 * is, but may be another process's by now, and proc is NULL in a slot that was never claimed: each
 * is one session more or less, once. Roles by what they are, and not by their names, which change.
 */
static bool
has_half_of_it(int account)
{
	int			all = 0;
	int			own = 0;

	for (int i = 0; i < MaxBackends; i++)
	{
		const		PGPROC *proc = pm_slots->all[i].proc;

		if (!pm_sheets[i].begun || pm_sheets[i].account != account || proc == NULL)
			continue;
		all++;
		own += proc->roleId == MyProc->roleId;
	}
	return own > 0 && 2 * own >= all;
}

/*
 * For the session of this process, which is in that account. An application's has its role in
 * its name. Who is in a pool that names other roles is still to be moved out of it.
 */
bool
pm_may_speak(int account)
{
	const PmPattern *named;

	if (account >= pm_first_application())
		return true;
	named = roles_named(pool_of(account));
	return named ? pm_like(named->like, pm_slots->all[pm_my_index()].usename) : has_half_of_it(account);
}

/*
 * Does what it said count? If it could when it said it, and the pool that it is of does not name
 * other roles now; NULL: it is of none. Of a copy of its place; in a transaction, for the role's
 * name, which is that of now. It must not ask for the declarations itself: callers hold pointers
 * into those that they have, which pm_rules_current() may change in place.
 */
bool
pm_still_speaks(const PmClientProcess *process, const PmPool *pool)
{
	const PmPattern *named = roles_named(pool);
	const char *role;

	if (!process->counts || named == NULL)
		return process->counts;
	role = GetUserNameFromId(process->role, true);
	return role != NULL && pm_like(named->like, role);
}
