/*
 * roles.c
 *		Some login roles of each account, whose connects are counted apart.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/roles.h"

static PmRoles *roles = NULL;	/* pm_num_accounts() */

static Size
roles_size(void)
{
	return mul_size(pm_num_accounts(), sizeof(PmRoles));
}

static void
attach_roles(void *memory)
{
	roles = memory;
}

const PmSection pm_roles_section = {
	.name = "roles",
	.size = roles_size,
	.attach = attach_roles,
};

/* What was known of an earlier owner of the account is forgotten. */
PmRoles *
pm_roles_of(int account)
{
	PmRoles    *mine = &roles[account];

	if (mine->incarnation == pm_account_incarnation(account))
		return mine;
	mine->incarnation = pm_account_incarnation(account);
	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		PmRole	   *role = &mine->of[i];

		pg_atomic_write_u32(&role->oid, InvalidOid);
		memset(&role->normal, 0, sizeof(*role) - offsetof(PmRole, normal));
	}
	return mine;
}

PmRole *
pm_role_place(int account, int i)
{
	return &roles[account].of[i];
}

void
pm_role_connected(int account, Oid role)
{
	for (int i = 0; i < PM_MOST_ROLES; i++)
	{
		PmRole	   *one = &roles[account].of[i];

		if (pg_atomic_read_u32(&one->oid) == role)
			pg_atomic_fetch_add_u64(&one->connects, 1);
	}
}
