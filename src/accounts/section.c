/*
 * section.c
 *		The accounts' part of shared memory.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/index.h"
#include "accounts/places.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "utils/timestamp.h"

PmAccounts *pm_accounts = NULL;

static Size
lines_size(void)
{
	return mul_size(pm_index_lines(pm_num_accounts()), sizeof(PmIndexLine));
}

static Size
keys_size(void)
{
	return MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccountKey)));
}

static Size
next_size(void)
{
	return MAXALIGN(mul_size(pm_num_accounts(), sizeof(pg_atomic_uint32)));
}

static Size
accounts_size(void)
{
	Size		size = add_size(CACHELINEALIGN(sizeof(PmAccounts)), lines_size());

	size = add_size(size, add_size(keys_size(), next_size()));
	size = add_size(size, MAXALIGN(mul_size(pm_num_accounts(), sizeof(PmAccount))));
	return add_size(size, mul_size(pm_num_accounts(), PM_NUM_TIMES * sizeof(PmTimes)));
}

static void
attach_accounts(void *memory)
{
	pm_accounts = memory;
}

static Size
explain_accounts(StringInfo text)
{
	Size		size = mul_size(pm_max_applications, sizeof(PmAccount) + PM_NUM_TIMES * sizeof(PmTimes));

	appendStringInfo(text, "Applications (\"pool_monitor.max_applications\" %d): %zu MB. ", pm_max_applications, size >> 20);
	return size;
}

static void
lay_out(void)
{
	char	   *at = (char *) pm_accounts + CACHELINEALIGN(sizeof(PmAccounts));

	pm_accounts->lines = (PmIndexLine *) at;
	at += lines_size();
	pm_accounts->line_mask = pm_index_lines(pm_num_accounts()) - 1;
	pm_accounts->keys = (PmAccountKey *) at;
	at += keys_size();
	pm_accounts->next_free = (pg_atomic_uint32 *) at;
	at += next_size();
	pm_accounts->all = (PmAccount *) at;
	at += MAXALIGN(pm_num_accounts() * sizeof(PmAccount));
	pm_accounts->times = (PmTimes *) at;
}

/* In the postmaster, before anybody else is there. */
static void
init_accounts(void)
{
	LWLockInitialize(&pm_accounts->lock.lock, pm_tranche());
	if (!pg_strong_random(&pm_accounts->seed, sizeof(pm_accounts->seed)))
		pm_accounts->seed = GetCurrentTimestamp() ^ pm_monotonic_us();
	lay_out();
	for (int i = pm_other_account() - 1; i >= 0; i--)
		pm_place_put_back(i);
	pm_place_open_sum(pm_other_account(), "(other)");
	pm_place_open_sum(pm_undeclared_account(), "(undeclared)");
	pm_place_open_sum(pm_server_account(), "(server)");
}

const PmSection pm_accounts_section = {
	.name = "accounts",
	.size = accounts_size,
	.attach = attach_accounts,
	.init = init_accounts,
	.explain = explain_accounts,
};
