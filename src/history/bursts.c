/*
 * bursts.c
 *		Notices bursts of logins that come to nothing.
 *
 * Those that follow each other within PAUSE are one burst, as soon as there are so
 * many that it is one: of refusals at the first, because the server is full, and of what the
 * guard held off, because a pool is; of others a few may be somebody's mistake. Its begin is told at once, with role, database and
 * address of the first where that is not plain from the owner, and the whole when PAUSE
 * has passed without another. One that has grown tenfold is told of again, with the first
 * of the moment in which it did: else a few of somebody's, kept up, would hide many that
 * come after. What is kept up for a day hides as many as it had itself, ten times over.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "accounts/account.h"
#include "accounts/failed.h"
#include "accounts/figures.h"
#include "events/events.h"
#include "history/bursts.h"

#define PAUSE		10000		/* ms */
#define A_FEW		5
#define GROWN		10			/* times */

static const struct
{
	PmCounter	counter;
	uint64		least;
	PmFailureKind first;		/* PM_NUM_FAILURES: it is not kept */
	PmEventKind begin;
	PmEventKind over;
}			kinds[PM_NUM_BURSTS] = {
	{PM_REFUSED, 1, PM_NUM_FAILURES, PM_EVENT_REFUSED, PM_EVENT_REFUSED_OVER},
	{PM_GUARDED, 1, PM_NUM_FAILURES, PM_EVENT_GUARDED, PM_EVENT_GUARDED_OVER},
	{PM_AUTH_FAILURES, A_FEW, PM_FAILURE_AUTH, PM_EVENT_AUTH_FAILURES, PM_EVENT_AUTH_FAILURES_OVER},
	{PM_REJECTED, A_FEW, PM_FAILURE_REJECTED, PM_EVENT_REJECTED, PM_EVENT_REJECTED_OVER},
};

/* The next one is the first. */
static void
forget_first(int kind, int account)
{
	if (kinds[kind].first != PM_NUM_FAILURES)
		pm_first_failure_forget(account, kinds[kind].first);
}

/* As JSON. */
static void
print_address(char *to, size_t length, const PmAddr *addr)
{
	char		text[INET6_ADDRSTRLEN] = "";

	if (addr->family != 0)
		(void) inet_ntop(addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, text, sizeof(text));
	snprintf(to, length, addr->family != 0 ? "\"%s\"" : "null", text);
}

/* The account may have got another owner meanwhile: then there is no first one to tell of. */
static void
tell_of(int kind, const PmBurst *burst, int account, const PmOwner *owner)
{
	const char *name = pm_counters[kinds[kind].counter].name;
	const char *grown = burst->told > 0 ? ", \"grown\": true" : "";
	PmFirstFailure first;
	char		datname[2 * PM_NAME_LEN];
	char		usename[2 * PM_NAME_LEN];
	char		address[INET6_ADDRSTRLEN + 3];

	if (kinds[kind].first == PM_NUM_FAILURES || !pm_first_failure(account, kinds[kind].first, &first) ||
		!pm_owner_equal(owner, &pm_accounts->all[account].owner))
	{
		pm_event_of(kinds[kind].begin, owner, 0, "{\"%s\": " UINT64_FORMAT "%s}", name, burst->failed, grown);
		return;
	}
	print_address(address, sizeof(address), &first.client_addr);
	pm_event_of(kinds[kind].begin, owner, 0,
				"{\"%s\": " UINT64_FORMAT "%s, \"usename\": \"%s\", \"datname\": \"%s\", \"client_addr\": %s}",
				name, burst->failed, grown, pm_json_escape(usename, first.usename),
				pm_json_escape(datname, first.datname), address);
}

static void
end_burst(int kind, PmBurst *burst, int account, const PmOwner *owner)
{
	if (burst->told > 0)
		pm_event_of(kinds[kind].over, owner, 0, "{\"%s\": " UINT64_FORMAT ", \"seconds\": %.1f}",
					pm_counters[kinds[kind].counter].name, burst->failed, (burst->last - burst->since) / 1000.0);
	forget_first(kind, account);
	burst->failed = 0;
	burst->told = 0;
}

/* Again only where there is somebody else to tell of. */
static bool
is_news(int kind, const PmBurst *burst)
{
	if (burst->told == 0)
		return burst->failed >= kinds[kind].least;
	return kinds[kind].first != PM_NUM_FAILURES && burst->failed >= GROWN * burst->told;
}

static void
watch(int kind, PmBurst *burst, int account, const PmOwner *owner, int64 now)
{
	uint64		counted = pm_account_counted(account, kinds[kind].counter);
	uint64		new = counted - burst->counted;

	burst->counted = counted;
	if (new > 0)
	{
		if (burst->failed == 0)
			burst->since = now;
		burst->failed += new;
		burst->last = now;
		if (is_news(kind, burst))
		{
			tell_of(kind, burst, account, owner);
			burst->told = burst->failed;
		}
		/* so that the next to be told of is of the tick in which it has grown */
		if (burst->told > 0)
			forget_first(kind, account);
	}
	else if (burst->failed > 0 && now - burst->last >= PAUSE)
		end_burst(kind, burst, account, owner);
}

/*
 * The owner of the account is a new one, or the worker is: then what was counted before it
 * is no news, nor is the first of that.
 */
void
pm_bursts_begin(PmBurst *bursts, int account, bool from_now_on)
{
	memset(bursts, 0, sizeof(PmBurst) * PM_NUM_BURSTS);
	for (int kind = 0; kind < PM_NUM_BURSTS && from_now_on; kind++)
	{
		bursts[kind].counted = pm_account_counted(account, kinds[kind].counter);
		forget_first(kind, account);
	}
}

/* At each tick; now is in ms, monotonic. */
void
pm_bursts_watch(PmBurst *bursts, int account, const PmOwner *owner, int64 now)
{
	for (int kind = 0; kind < PM_NUM_BURSTS; kind++)
		watch(kind, &bursts[kind], account, owner, now);
}
