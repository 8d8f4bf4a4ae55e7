/*
 * failed.c
 *		Logins that came to nothing: counted, when, and whose the first was.
 *
 * What counts here has no session, and may have no PGPROC: see account.c.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/failed.h"
#include "base/clock.h"
#include "base/guc.h"

/* A server is nearly full when fewer slots than these are left to use. */
#define NEARLY_FULL_LEAST	3
#define NEARLY_FULL_SHARE	20	/* one in so many */

/* A refusal that is longer ago, in ms, says nothing of this moment. */
#define LATELY				10000

#define ACCOUNT(i)	(&pm_accounts->all[i])

static void
note_refusal(int account, int64 now)
{
	pm_account_raise(&ACCOUNT(account)->refused_at, now / 1000);
	pm_account_raise(&ACCOUNT(pm_server_account())->refused_at, now / 1000);
}

/* If it is the first; who comes while that is being written is the second. */
static void
note_first(int account, PmFailureKind kind, const PmIdentity *who)
{
	PmFirstFailure *first = &ACCOUNT(account)->firsts[kind];
	uint32		expected = PM_FIRST_NONE;

	if (!pg_atomic_compare_exchange_u32(&first->state, &expected, PM_FIRST_WRITING))
		return;
	strlcpy(first->datname, who->datname ? who->datname : "", PM_NAME_LEN);
	strlcpy(first->usename, who->usename ? who->usename : "", PM_NAME_LEN);
	first->client_addr = who->client_addr;
	pg_write_barrier();
	pg_atomic_write_u32(&first->state, PM_FIRST_THERE);
}

/* The first is there before it is counted. */
void
pm_account_count_failed(PmPlace place, PmCounter counter, const PmIdentity *who)
{
	int			account = pm_account_hold(place);
	int64		now = pm_monotonic_us();

	if (counter == PM_REFUSED)
		note_refusal(account, now);
	else if (counter == PM_AUTH_FAILURES)
		note_first(account, PM_FAILURE_AUTH, who);
	else if (counter == PM_REJECTED)
		note_first(account, PM_FAILURE_REJECTED, who);
	pm_account_add(account, counter, 1);
	pm_account_note_use(account, now);
	pm_account_let_go(account);
}

/*
 * A login was refused for want of a slot. What that says lies in how many of the
 * slots are sessions that have begun: anybody who can reach the server can hold the
 * rest without a password.
 */
void
pm_account_weigh_refusal(void)
{
	int			usable = pm_usable_connections();
	int			begun = pg_atomic_read_u32(&ACCOUNT(pm_server_account())->connections);

	if (begun >= usable - Max(NEARLY_FULL_LEAST, usable / NEARLY_FULL_SHARE))
		pg_atomic_fetch_add_u32(&pm_accounts->refused_full, 1);
	else if (begun >= usable / 2)
		pg_atomic_fetch_add_u32(&pm_accounts->refused_half, 1);
}

/*
 * Was a login refused there for want of a slot, in the last seconds? now is in ms,
 * monotonic. What is in (other) is nobody's own.
 */
bool
pm_account_refused_lately(int account, int64 now)
{
	int64		at = (int64) pg_atomic_read_u64(&ACCOUNT(account)->refused_at);

	return account != pm_other_account() && at != 0 && now - at < LATELY;
}

/* False when there is none, or it is just being written. */
bool
pm_first_failure(int account, PmFailureKind kind, PmFirstFailure *copy)
{
	PmFirstFailure *first = &ACCOUNT(account)->firsts[kind];

	if (pg_atomic_read_u32(&first->state) != PM_FIRST_THERE)
		return false;
	pg_read_barrier();
	memcpy(copy, first, sizeof(PmFirstFailure));
	copy->datname[PM_NAME_LEN - 1] = copy->usename[PM_NAME_LEN - 1] = '\0';
	return true;
}

/* The next one is the first again. */
void
pm_first_failure_forget(int account, PmFailureKind kind)
{
	uint32		expected = PM_FIRST_THERE;

	(void) pg_atomic_compare_exchange_u32(&ACCOUNT(account)->firsts[kind].state, &expected, PM_FIRST_NONE);
}
