/*
 * holders.c
 *		Who holds connections that are not busy: who is to be asked when there are
 *		none left.
 *
 * How many of its connections are busy is, of each pool and application, an average of
 * what the ticks see, in which each one weighs less by the time: of about LATELY. But who
 * has more of them busy now needs these, however idle it was: a pool that fills the server
 * within seconds is not to blame for connections that all work. All of it is the worker's
 * own; one that is started anew begins with what it sees first.
 *
 * A client may give each connection a name of its own. So what a role has in applications of
 * one connection each is told of together: else who holds three would be said to hold most.
 */
#include "postgres.h"

#include <math.h>

#include "accounts/account.h"
#include "events/events.h"
#include "utils/memutils.h"
#include "worker/holders.h"

#define LATELY		60000000	/* us */
#define MOST_TOLD	3

typedef struct Holder
{
	uint32		incarnation;	/* of the account */
	int			seen;			/* its sessions in this tick */
	int			busy_now;		/* of these */
	double		busy;			/* weighted sum */
	double		weight;

	/*
	 * what is told of under its name: of several names, with the first of
	 * them
	 */
	int			names;			/* 0: it is told of with another */
	int			connections;
	double		told_busy;
} Holder;

static Holder *holders = NULL;	/* one for each account but the sums */
static double share_kept;		/* of the sums, in this tick */
static double weight_of_tick;

/* elapsed: us since the last tick, 0: that is not known. Allocates once. */
void
pm_holders_begin(int64 elapsed)
{
	if (holders == NULL)
		holders = MemoryContextAllocZero(TopMemoryContext, sizeof(Holder) * (pm_other_account() + 1));
	weight_of_tick = Max(elapsed, 1);
	share_kept = exp(-weight_of_tick / LATELY);
	for (int i = 0; i <= pm_other_account(); i++)
		holders[i].seen = holders[i].busy_now = 0;
}

/* A session of that account; -1: of none. */
void
pm_holders_see(int account, bool busy)
{
	if (account < 0)
		return;
	holders[account].seen++;
	holders[account].busy_now += busy;
}

/* All sessions were seen. */
void
pm_holders_end(void)
{
	for (int i = 0; i <= pm_other_account(); i++)
	{
		Holder	   *holder = &holders[i];
		uint32		incarnation;

		/* the account of who is not there is not looked at */
		if (holder->seen == 0)
		{
			holder->busy = holder->weight = 0;
			continue;
		}
		incarnation = pm_account_incarnation(i);
		if (holder->incarnation != incarnation)
			holder->busy = holder->weight = 0;
		holder->incarnation = incarnation;
		holder->busy = holder->busy * share_kept + holder->busy_now * weight_of_tick;
		holder->weight = holder->weight * share_kept + weight_of_tick;
	}
}

/* Now, or lately on average, whichever is more. */
static double
busy_of(int account)
{
	const Holder *holder = &holders[account];

	return holder->weight > 0 ? Max(holder->busy / holder->weight, holder->busy_now) : 0;
}

/* Less than 0, of one that has just shrunk. */
static double
not_busy(int account)
{
	return holders[account].connections - holders[account].told_busy;
}

/* An account can have lost its place since it was counted, and its name with it. */
static bool
still_there(int account)
{
	return pm_account_ready(account) && pm_account_incarnation(account) == holders[account].incarnation;
}

/* An application of one connection? */
static bool
is_single(int account)
{
	return holders[account].seen == 1 && pm_account_is_application(account) && still_there(account);
}

/* The first before it whose role it has, too; itself, where there is none. */
static int
first_of_role(int account)
{
	const char *role = pm_accounts->all[account].owner.usename;

	for (int i = pm_first_application(); i < account; i++)
	{
		if (holders[i].names > 0 && is_single(i) && strcmp(pm_accounts->all[i].owner.usename, role) == 0)
			return i;
	}
	return account;
}

static void
put_together(void)
{
	for (int i = 0; i <= pm_other_account(); i++)
	{
		Holder	   *told = &holders[is_single(i) ? first_of_role(i) : i];

		holders[i].names = holders[i].connections = 0;
		holders[i].told_busy = 0;
		told->names++;
		told->connections += holders[i].seen;
		told->told_busy += busy_of(i);
	}
}

/* Those that hold most that is not busy, half a connection at least; returns how many. */
static int
find_most(int *most)
{
	int			n = 0;

	put_together();
	for (int i = 0; i <= pm_other_account(); i++)
	{
		int			place = n;

		if (not_busy(i) < 0.5 || !still_there(i))
			continue;
		while (place > 0 && not_busy(most[place - 1]) < not_busy(i))
			place--;
		if (place >= MOST_TOLD)
			continue;
		n = Min(n + 1, MOST_TOLD);
		memmove(&most[place + 1], &most[place], (n - 1 - place) * sizeof(int));
		most[place] = i;
	}
	return n;
}

/* Names of clients may have any bytes: as what may stand in JSON, and in a line of the log. */
static void
put_name(StringInfo to, const char *name)
{
	char		escaped[2 * PM_NAME_LEN];

	appendStringInfo(to, "\"%s\"", pm_json_escape(escaped, name));
}

/* What stands around a holder's names and figures. */
typedef struct Words
{
	const char *pool;
	const char *application;
	const char *role;			/* of an application */
	const char *connections;
	const char *busy;
	const char *end;
} Words;

static const Words in_text = {"pool ", "application ", " of role ", " ", " connections, ", " busy"};
static const Words in_json = {
	"{\"pool\": ", "{\"application\": ", ", \"usename\": ", ", \"connections\": ", ", \"busy\": ", "}"
};

static void
put_holder(StringInfo to, int account, const Words *words)
{
	const PmOwner *owner = &pm_accounts->all[account].owner;
	const Holder *holder = &holders[account];
	char		names[32];

	snprintf(names, sizeof(names), "(%d names)", holder->names);
	appendStringInfoString(to, owner->discovered ? words->application : words->pool);
	put_name(to, holder->names > 1 ? names : owner->name);
	if (owner->discovered)
	{
		appendStringInfoString(to, words->role);
		put_name(to, owner->usename);
	}
	appendStringInfo(to, "%s%d%s%.1f%s", words->connections, holder->connections, words->busy, holder->told_busy, words->end);
}

/* For the log. */
void
pm_holders_text(StringInfo text)
{
	int			most[MOST_TOLD + 1];
	int			n = find_most(most);

	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(text, i > 0 ? "; " : "");
		put_holder(text, most[i], &in_text);
	}
	if (n == 0)
		appendStringInfoString(text, "nobody");
}

/* For an event: an array of no more bytes than there is room for, of as many as fit. */
void
pm_holders_json(StringInfo json, int room)
{
	int			most[MOST_TOLD + 1];
	int			n = find_most(most);
	int			end = json->len + room;
	int			begin = json->len + 1;

	appendStringInfoChar(json, '[');
	for (int i = 0; i < n; i++)
	{
		int			before = json->len;

		appendStringInfoString(json, before > begin ? ", " : "");
		put_holder(json, most[i], &in_json);
		/* who has long names hides nobody else */
		if (json->len + 1 > end)
			json->len = before;
	}
	appendStringInfoChar(json, ']');
}
