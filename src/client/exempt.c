/*
 * exempt.c
 *		Roles whose logins the guard never refuses: superusers', those of roles that may use
 *		reserved_connections, and those of protected_roles and their members.
 *
 * In the transaction that the server has open for authentication, in which it looks roles up
 * for pg_hba.conf likewise: shared catalogs, by their caches. An error there admits the login.
 * It takes as long as the role has memberships; that is the login's own time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "base/guc.h"
#include "client/exempt.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/resowner.h"
#include "utils/varlena.h"

static bool
is_protected(Oid role)
{
	List	   *names;
	ListCell   *cell;

	if (pm_protected_roles[0] == '\0' || !SplitIdentifierString(pstrdup(pm_protected_roles), ',', &names))
		return false;
	foreach(cell, names)
	{
		Oid			named = get_role_oid(lfirst(cell), true);

		if (OidIsValid(named) && is_member_of_role_nosuper(role, named))
			return true;
	}
	return false;
}

/* Of a role that there is not, the server itself says so a moment later. */
static bool
look_up(const char *name, bool superusers)
{
	Oid			role = get_role_oid(name, true);

	if (!OidIsValid(role))
		return true;
	if (is_protected(role))
		return true;
	return superuser_arg(role) ? superusers : pm_may_use_reserved(role);
}

bool
pm_role_is_exempt(const char *name, bool superusers)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool exempt = true;

	if (!IsTransactionState())
		return true;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		exempt = look_up(name, superusers);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		exempt = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return exempt;
}
