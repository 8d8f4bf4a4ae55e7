/*
 * pace.c
 *		How scheduled retirement goes, in shared memory.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "retire/pace.h"

PmRetirement *pm_retirement = NULL;

static Size
retirement_size(void)
{
	return add_size(offsetof(PmRetirement, paces), mul_size(pm_num_accounts(), sizeof(PmPace)));
}

static void
attach_retirement(void *memory)
{
	pm_retirement = memory;
}

const PmSection pm_retirement_section = {
	.name = "retirement",
	.size = retirement_size,
	.attach = attach_retirement,
};

PmRetirement *
pm_retirement_memory(void)
{
	return pm_retirement;
}

/*
 * The pace of an earlier owner of the account is forgotten. An account that somebody has
 * owned has another incarnation than 0, so who finds the right one meets no NULL for a role.
 */
PmPace *
pm_pace_of(int account)
{
	PmPace	   *pace = &pm_retirement->paces[account];

	(void) pm_roles_of(account);
	if (pace->incarnation == pm_account_incarnation(account))
		return pace;
	pace->own_rate = 0;
	pace->last_retired = pace->gap = pace->scheduled = pace->by_hand = 0;
	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		pace->judged[i].role = pm_role_place(account, i);
		memset(&pace->judged[i].paused_until, 0, sizeof(PmJudged) - offsetof(PmJudged, paused_until));
	}
	pg_write_barrier();
	pace->incarnation = pm_account_incarnation(account);
	return pace;
}

const PmPace *
pm_pace_seen(int account)
{
	const PmPace *pace = &pm_retirement->paces[account];

	if (pace->incarnation != pm_account_incarnation(account))
		return NULL;
	pg_read_barrier();
	return pace;
}
