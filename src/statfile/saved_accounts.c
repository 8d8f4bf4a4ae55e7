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

typedef struct AccountRow
{
	PmOwner		owner;
	uint32		peak;
	int64		peak_at;
	uint64		counters[PM_NUM_COUNTERS];
	uint64		declines[PM_NUM_REASONS];	/* that of no reason is unused */
	int64		busy;
	int64		observed;
	int64		in_history[PM_NUM_KEPT];	/* of the counters; less than 0
											 * after a reset() */
	int64		stats_reset;
	int64		lifetime_max;
	int64		hold_max;
} AccountRow;

static const PmField account_fields[] = {
	PM_FIELD(AccountRow, UINT, "discovered", owner.discovered),
	PM_FIELD(AccountRow, TEXT, "name", owner.name),
	PM_FIELD(AccountRow, TEXT, "datname", owner.datname),
	PM_FIELD(AccountRow, TEXT, "usename", owner.usename),
	PM_FIELD(AccountRow, UINT, "peak", peak),
	PM_FIELD(AccountRow, INT, "peak_at", peak_at),
	PM_FIELD(AccountRow, INT, "busy", busy),
	PM_FIELD(AccountRow, INT, "observed", observed),
	PM_FIELD(AccountRow, INT, "stats_reset", stats_reset),
	PM_FIELD(AccountRow, INT, "lifetime_max", lifetime_max),
	PM_FIELD(AccountRow, INT, "hold_max", hold_max),
#define PM_COUNTER(id, name, end, kept) PM_FIELD(AccountRow, UINT, "counted " name, counters[PM_##id]),
#include "accounts/counterlist.h"
#undef PM_COUNTER
#define PM_REASON(id, text, lasts) PM_FIELD(AccountRow, UINT, "declined " #id, declines[PM_REASON_##id]),
#include "base/reasons.h"
#undef PM_REASON
#define PM_KEPT(id, name) PM_FIELD(AccountRow, INT, "in history " name, in_history[PM_KEPT_##id]),
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
	PM_FIELD(TimesRow, INT, "us", us),
	PM_FIELD(TimesRow, UINT, "count", count),
};

const PmLayout pm_lifetime_layout = {"lifetime", sizeof(TimesRow), lengthof(times_fields), times_fields};
const PmLayout pm_hold_layout = {"hold", sizeof(TimesRow), lengthof(times_fields), times_fields};

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
	row.lifetime_max = figures.lifetime_max;
	row.hold_max = figures.hold_max;
	pm_put_rows(writer, &pm_account_layout, &row, 1);
	put_times(writer, &pm_lifetime_layout, figures.lifetimes);
	put_times(writer, &pm_hold_layout, figures.holds);
}

/*
 * First those of the pools in force, in matching order: where there is less room
 * when they are read, these find a place.
 */
void
pm_put_accounts(PmWriter *writer)
{
	static int	pools[PM_MOST_POOLS];
	int			npools;
	const PmRuleSet *set;

	if (writer->lock)
		LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	set = pm_rules_in_force();
	npools = set->npools;
	memcpy(pools, set->accounts, npools * sizeof(int));
	if (writer->lock)
		LWLockRelease(&pm_accounts->lock.lock);

	for (int i = 0; i < npools; i++)
	{
		if (pools[i] < pm_first_application())
			put_account(writer, pools[i]);
	}
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		bool		written = false;

		for (int j = 0; j < npools && !written; j++)
			written = pools[j] == i && i < pm_first_application();
		if (!written)
			put_account(writer, i);
	}
}

/* ---- reading ---- */

/* What has come of an account, until the next one comes. Too large for a stack. */
static struct
{
	bool		there;
	bool		usable;			/* its names fit ours */
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

	if (pending.there && pending.usable && !dry)
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
 * What the history has of a counter that is not known here it has as one of a kind that
 * is: an end in a new way is an end. Of what the file does not say it has all.
 */
static void
take_account(const AccountRow *row)
{
	PmFigures  *figures = &pending.figures;

	memset(figures, 0, sizeof(*figures));
	figures->owner = row->owner;
	memcpy(figures->counters, row->counters, sizeof(figures->counters));
	memcpy(figures->declines, row->declines, sizeof(figures->declines));
	figures->busy = row->busy;
	figures->observed = row->observed;
	for (int i = 0; i < PM_NUM_KEPT; i++)
		figures->not_in_history[i] = row->in_history[i] == PG_INT64_MIN ? 0 :
			pm_kept(figures->counters, i) - row->in_history[i];
	figures->peak = row->peak;
	figures->peak_at = row->peak_at;
	figures->stats_reset = row->stats_reset;
	figures->lifetime_max = row->lifetime_max;
	figures->hold_max = row->hold_max;
}

bool
pm_read_account(const PmRows *rows, bool dry)
{
	AccountRow	row;

	use_pending(dry);
	if (rows == NULL)
		return true;
	if (rows->n != 1)
		return false;
	memset(&row, 0, sizeof(row));
	for (int i = 0; i < PM_NUM_KEPT; i++)
		row.in_history[i] = PG_INT64_MIN;
	pending.there = true;
	pending.usable = pm_read_row(rows, 0, &row);
	if (pending.usable)
		take_account(&row);
	else
		pm_leave_out("rows", "with texts that are too long");
	return true;
}

bool
pm_read_account_times(const PmRows *rows, bool dry)
{
	uint64	   *counts = rows->layout == &pm_hold_layout ? pending.figures.holds : pending.figures.lifetimes;

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
