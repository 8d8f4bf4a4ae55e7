/*
 * saved_accounts.c
 *		Accounts in the file of statistics.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "base/guc.h"
#include "base/histogram.h"
#include "base/identity.h"
#include "base/reason.h"
#include "pools/declared.h"
#include "statfile/saved_accounts.h"
#include "utils/timestamp.h"

typedef struct AccountRow
{
	uint8		discovered;
	PmOwner		owner;			/* its names */
	uint32		peak;
	int64		peak_at;
	uint64		counters[PM_NUM_COUNTERS];
	uint64		declines[PM_NUM_REASONS];	/* that of no reason is unused */
	int64		busy;
	int64		observed;
	int64		in_history[PM_NUM_KEPT];	/* of the counters; less than 0
											 * after a reset() */
	int64		stats_reset;
	PmSizes		sizes;
	int64		lifetime_max;
	int64		hold_max;
	int64		setup_max;
} AccountRow;

static const PmField account_fields[] = {
	PM_ROW_FIELD(AccountRow, UINT, "discovered", discovered),
	PM_ROW_FIELD(AccountRow, TEXT, "name", owner.name),
	PM_ROW_FIELD(AccountRow, TEXT, "datname", owner.datname),
	PM_ROW_FIELD(AccountRow, TEXT, "usename", owner.usename),
	PM_ROW_FIELD(AccountRow, UINT, "peak", peak),
	PM_ROW_FIELD(AccountRow, INT, "peak_at", peak_at),
	PM_ROW_FIELD(AccountRow, INT, "busy", busy),
	PM_ROW_FIELD(AccountRow, INT, "observed", observed),
	PM_ROW_FIELD(AccountRow, INT, "stats_reset", stats_reset),
	PM_ROW_FIELD(AccountRow, INT, "sized_since", sizes.since),
	PM_ROW_FIELD(AccountRow, INT, "sized_base", sizes.base),
	PM_ROW_FIELD(AccountRow, INT, "sized_ceiling", sizes.ceiling),
	PM_ROW_FIELD(AccountRow, INT, "sized_budget", sizes.budget),
	PM_ROW_FIELD(AccountRow, INT, "lifetime_max", lifetime_max),
	PM_ROW_FIELD(AccountRow, INT, "hold_max", hold_max),
	PM_ROW_FIELD(AccountRow, INT, "setup_max", setup_max),
#define PM_COUNTER(id, name, end, kept, unit) PM_ROW_FIELD(AccountRow, UINT, "counted " name, counters[PM_##id]),
#include "accounts/counterlist.h"
#undef PM_COUNTER
#define PM_REASON(id, text, lasts) PM_ROW_FIELD(AccountRow, UINT, "declined " #id, declines[PM_REASON_##id]),
#include "base/reasons.h"
#undef PM_REASON
#define PM_KEPT(id, name) PM_ROW_FIELD(AccountRow, INT, "in history " name, in_history[PM_KEPT_##id]),
#include "accounts/keptlist.h"
#undef PM_KEPT
};

StaticAssertDecl(lengthof(account_fields) <= PM_MOST_FIELDS, "PM_MOST_FIELDS is too small");

const PmLayout pm_account_layout = {"account", sizeof(AccountRow), lengthof(account_fields), account_fields};

/* A duration, so that the buckets of a histogram may be others; and how often it was. */
typedef struct TimesRow
{
	int64		us;
	uint64		count;
} TimesRow;

static const PmField times_fields[] = {
	PM_ROW_FIELD(TimesRow, INT, "us", us),
	PM_ROW_FIELD(TimesRow, UINT, "count", count),
};

const PmLayout pm_lifetime_layout = {"lifetime", sizeof(TimesRow), lengthof(times_fields), times_fields};
const PmLayout pm_hold_layout = {"hold", sizeof(TimesRow), lengthof(times_fields), times_fields};
const PmLayout pm_setup_layout = {"setup", sizeof(TimesRow), lengthof(times_fields), times_fields};

/* ---- writing ---- */

static void
put_times(PmWriter *writer, const PmLayout *layout, const uint64 *counts)
{
	TimesRow	rows[PM_BUCKETS];
	int			n = 0;

	for (int i = 0; i < PM_BUCKETS; i++)
	{
		if (counts[i] != 0)
			rows[n++] = (TimesRow)
		{
			.us = pm_bucket_middle(i),.count = counts[i]
		};
	}
	pm_put_rows(writer, layout, rows, n);
}

static void
put_account(PmWriter *writer, int account)
{
	static PmFigures figures;	/* too large for a stack, and no palloc here */
	AccountRow	row;

	if (!pm_account_figures(account, &figures, writer->lock))
		return;
	memset(&row, 0, sizeof(row));
	row.discovered = figures.owner.discovered;
	row.owner = figures.owner;
	row.peak = figures.peak;
	row.peak_at = figures.peak_at;
	memcpy(row.counters, figures.counters, sizeof(row.counters));
	memcpy(row.declines, figures.declines, sizeof(row.declines));
	row.busy = figures.busy;
	row.observed = figures.observed;
	for (int i = 0; i < PM_NUM_KEPT; i++)
		row.in_history[i] = pm_kept(figures.counters, i) - figures.not_in_history[i];
	row.stats_reset = figures.stats_reset;
	row.sizes = figures.sizes;
	row.lifetime_max = figures.lifetime_max;
	row.hold_max = figures.hold_max;
	row.setup_max = figures.setup_max;
	pm_put_rows(writer, &pm_account_layout, &row, 1);
	put_times(writer, &pm_lifetime_layout, figures.lifetimes);
	put_times(writer, &pm_hold_layout, figures.holds);
	put_times(writer, &pm_setup_layout, figures.setups);
}

/* An application of which only failed logins are known, whose names anybody can make up. */
static bool
had_no_session(int account)
{
	PmAccount  *a = &pm_accounts->all[account];

	return pm_account_is_application(account) && pg_atomic_read_u64(&a->counters[PM_CONNECTS]) == 0 &&
		pg_atomic_read_u64(&a->counters[PM_TAKEN_OVER]) == 0;
}

/* And the sums. Those that never had a session come last, whatever they get meanwhile. */
static void
put_applications(PmWriter *writer)
{
	static bool later[PM_MOST_APPLICATIONS];
	int			first = pm_first_application();

	for (int i = first; i < pm_num_accounts(); i++)
	{
		bool		wait = had_no_session(i);

		if (i < pm_other_account())
			later[i - first] = wait;
		if (!wait)
			put_account(writer, i);
	}
	for (int i = first; i < pm_other_account(); i++)
	{
		if (later[i - first])
			put_account(writer, i);
	}
}

/*
 * First those of the pools in force, in matching order, last those that never had a
 * session: where there is less room when they are read, the first ones find a place.
 */
void
pm_put_accounts(PmWriter *writer)
{
	static int	pools[PM_MOST_POOLS];
	static bool was_put[2 * PM_MOST_POOLS];
	int			npools;
	const PmRuleSet *set;

	if (writer->lock)
		LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	set = pm_rules_in_force();
	npools = set->npools;
	memcpy(pools, set->accounts, npools * sizeof(int));
	if (writer->lock)
		LWLockRelease(&pm_accounts->lock.lock);

	memset(was_put, false, sizeof(was_put));
	for (int i = 0; i < npools; i++)
	{
		if (pools[i] >= pm_first_application())
			continue;
		put_account(writer, pools[i]);
		was_put[pools[i]] = true;
	}
	for (int i = 0; i < pm_first_application(); i++)
	{
		if (!was_put[i])
			put_account(writer, i);
	}
	put_applications(writer);
}

/* ---- reading ---- */

/* What has come of an account, until the next one comes. Too large for a stack. */
static struct
{
	bool		there;
	PmFigures	figures;
}			pending;

static int	sessions_lost;

int
pm_sessions_lost(void)
{
	return sessions_lost;
}

/* Caller holds lock exclusively. */
static int
account_of(const PmOwner *owner)
{
	if (owner->discovered)
		return pm_account_for_application(owner);
	for (int i = pm_other_account(); i < pm_num_accounts(); i++)
	{
		if (pm_owner_equal(&pm_accounts->all[i].owner, owner))
			return i;
	}
	return pm_account_for_pool(owner->name);
}

static void
use_pending(bool dry)
{
	int			account;
	int			lost;

	if (pending.there && !dry)
	{
		LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
		account = account_of(&pending.figures.owner);
		lost = pm_account_merge(account, &pending.figures);
		LWLockRelease(&pm_accounts->lock.lock);
		if (account == pm_server_account())
			sessions_lost = lost;
	}
	pending.there = false;
}

/*
 * So many of what is known now the history has already. It may have more, of counters
 * that are not known here: then it has all of these, and of ends also those of sessions
 * that nobody knows how they ended. Of what the file does not say it has all.
 */
static uint64
not_in_history(const PmFigures *figures, PmKept which, int64 in_history)
{
	int64		kept = pm_kept(figures->counters, which);
	int64		most = kept + (which == PM_KEPT_ENDS ? pm_still_there(figures->counters) : 0);

	return in_history == PG_INT64_MIN ? 0 : kept - Min(in_history, most);
}

/* By every view. */
static bool
can_be_shown(const AccountRow *row)
{
	return pm_owner_can_be_shown(&row->owner) && IS_VALID_TIMESTAMP(row->peak_at) && IS_VALID_TIMESTAMP(row->stats_reset) &&
		(row->sizes.since == DT_NOBEGIN || IS_VALID_TIMESTAMP(row->sizes.since));
}

static void
take_account(const AccountRow *row)
{
	PmFigures  *figures = &pending.figures;

	memset(figures, 0, sizeof(*figures));
	figures->owner = row->owner;
	memcpy(figures->counters, row->counters, sizeof(figures->counters));
	/* more have gone than come: they came in a way that is not known here */
	if (pm_still_there(figures->counters) < 0)
		figures->counters[PM_TAKEN_OVER] -= pm_still_there(figures->counters);
	memcpy(figures->declines, row->declines, sizeof(figures->declines));
	figures->busy = row->busy;
	figures->observed = row->observed;
	for (int i = 0; i < PM_NUM_KEPT; i++)
		figures->not_in_history[i] = not_in_history(figures, i, row->in_history[i]);
	figures->peak = Min(row->peak, (1 << PM_PEAK_BITS) - 1);
	figures->peak_at = row->peak_at;
	figures->stats_reset = row->stats_reset != 0 ? row->stats_reset : GetCurrentTimestamp();
	figures->sizes = row->sizes;
	figures->lifetime_max = row->lifetime_max;
	figures->hold_max = row->hold_max;
	figures->setup_max = row->setup_max;
}

bool
pm_read_account(const PmRows *rows, bool dry)
{
	AccountRow	row;

	use_pending(dry);
	if (rows == NULL)
		return true;
	if (rows->n != 1 || !pm_rows_have(rows, "discovered") || !pm_rows_have(rows, "name") ||
		!pm_rows_have(rows, "datname") || !pm_rows_have(rows, "usename"))
		return false;
	memset(&row, 0, sizeof(row));
	for (int i = 0; i < PM_NUM_KEPT; i++)
		row.in_history[i] = PG_INT64_MIN;
	pending.there = true;
	/* cut, a name would be somebody else's */
	if (!pm_read_row(rows, 0, &row))
	{
		pm_leave_out("names", "that are too long");
		row.discovered = 0;
		row.owner = pm_owner_pool("(other)");
	}
	row.owner.discovered = row.discovered != 0;
	if (!can_be_shown(&row))
		return false;
	take_account(&row);
	return true;
}

static uint64 *
times_of(const PmLayout *layout)
{
	if (layout == &pm_hold_layout)
		return pending.figures.holds;
	return layout == &pm_setup_layout ? pending.figures.setups : pending.figures.lifetimes;
}

bool
pm_read_account_times(const PmRows *rows, bool dry)
{
	uint64	   *counts = times_of(rows->layout);

	if (!pending.there)
		return false;
	for (uint32 i = 0; i < rows->n; i++)
	{
		TimesRow	row = {0};

		if (!pm_read_row(rows, i, &row))
			return false;
		counts[pm_bucket(row.us)] += row.count;
	}
	return true;
}
