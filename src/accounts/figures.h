/*
 * figures.h
 *		Reading accounts, and beginning them anew.
 */
#ifndef PM_FIGURES_H
#define PM_FIGURES_H

#include "accounts/counters.h"
#include "accounts/sizes.h"
#include "base/histogram.h"
#include "base/identity.h"
#include "base/reason.h"
#include "datatype/timestamp.h"

/* One account at one moment, as the views show it: since stats_reset. */
typedef struct PmFigures
{
	PmOwner		owner;
	int			connections;
	uint64		counters[PM_NUM_COUNTERS];
	uint64		declines[PM_NUM_REASONS];
	int64		busy;			/* us, without open transactions */
	int64		observed;		/* us */
	uint64		not_in_history[PM_NUM_KEPT];
	int			peak;
	TimestampTz peak_at;		/* 0: never a connection */
	TimestampTz last_used;		/* 0: not since the start */
	TimestampTz stats_reset;
	PmSizes		sizes;
	int64		lifetime_max;
	int64		hold_max;
	int64		setup_max;
	uint64		lifetimes[PM_BUCKETS];
	uint64		holds[PM_BUCKETS];
	uint64		setups[PM_BUCKETS];
} PmFigures;

/* us that open transactions have been open, by account; see pm_settle_all() */
typedef struct PmOpen
{
	int64	   *busy;
} PmOpen;

/* No lock. */
extern void pm_account_kept(int account, uint64 *kept);
extern uint64 pm_account_sessions(int account);
extern uint64 pm_account_counted(int account, PmCounter which);
extern uint64 pm_account_since_reset(int account, PmCounter counter);
extern bool pm_account_open_time(int account, int64 now, int64 *open_time, int *connections);
extern void pm_account_take_tick_peak(int account, int *peak);

/* Takes lock, unless told that nobody else is left. */
extern bool pm_account_figures(int account, PmFigures *figures, bool lock);

/* Caller holds lock exclusively. */
extern void pm_account_read(int account, PmFigures *figures);
extern void pm_account_add_figures(int account, const PmFigures *figures);
extern int	pm_account_merge(int account, const PmFigures *figures);
extern void pm_account_reset(int account, int64 open_busy, int64 now);

extern void pm_open_init(PmOpen *open);
extern void pm_open_note(PmOpen *open, int account, int64 us);

#endif							/* PM_FIGURES_H */
