/*
 * names.c
 *		The roles that protected_roles names.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/guc.h"
#include "protected/lookups.h"
#include "protected/names.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

/* The setting as its roles were found, and in which generation; 0: they are not. */
static char *setting = NULL;
static Oid *named = NULL;
static int	nnamed = 0;
static uint64 found_in = 0;

/* In a copy that lives as long as they do. */
static List *
names_in_setting(void)
{
	List	   *names = NIL;

	/* the setting's check has seen to it that it can be split */
	(void) SplitIdentifierString(pstrdup(pm_protected_roles), ',', &names);
	return names;
}

/*
 * Says in the log which of protected_roles do not exist: they protect nobody.
 * Called by the worker when it starts and after each reload. Needs no database. False
 * when somebody holds a lock on a catalog: nobody is waited for.
 */
bool
pm_protected_check_names(void)
{
	MemoryContext caller = CurrentMemoryContext;
	ListCell   *cell;
	bool		looked;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	looked = pm_lookups_lock();
	foreach(cell, looked ? names_in_setting() : NIL)
	{
		const char *name = lfirst(cell);

		if (!OidIsValid(get_role_oid(name, true)))
			ereport(LOG,
					(errmsg("role \"%s\" in \"pool_monitor.protected_roles\" does not exist", name),
					 errhint("Names are folded to lower case unless they are in double quotes.")));
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return looked;
}

/* Since the last call: then nothing that was found by the former one holds. */
bool
pm_protected_setting_changed(void)
{
	if (setting != NULL && strcmp(setting, pm_protected_roles) == 0)
		return false;
	found_in = 0;
	if (setting != NULL)
		pfree(setting);
	setting = NULL;
	setting = MemoryContextStrdup(TopMemoryContext, pm_protected_roles);
	return true;
}

/* As many look-ups as there are names in the setting. */
static void
find_named(void)
{
	List	   *names = names_in_setting();
	uint64		began_in = pm_roles_generation();
	int			n = 0;
	ListCell   *cell;
	Oid		   *roles = MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * (list_length(names) + 1));

	foreach(cell, names)
	{
		roles[n] = get_role_oid((char *) lfirst(cell), true);
		n += OidIsValid(roles[n]);
	}
	if (named != NULL)
		pfree(named);
	named = roles;
	nnamed = n;
	found_in = began_in;
}

/*
 * Finds them, unless they are known. Returns in which generation that was, which may not
 * be that of now: a change may have come between two names.
 */
uint64
pm_protected_find(void)
{
	if (found_in != pm_roles_generation())
		find_named();
	return found_in;
}

bool
pm_protected_any(void)
{
	return nnamed > 0;
}

bool
pm_protected_is_named(Oid role)
{
	for (int i = 0; i < nnamed; i++)
	{
		if (named[i] == role)
			return true;
	}
	return false;
}
