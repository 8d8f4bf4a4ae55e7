/*
 * history.c
 *		Fills the rings, a tick at a time.
 *
 * Everything that happened since the last tick goes into the minute and the
 * hour in which this tick falls. Averages come from exact sums (how long
 * connections were open, how long transactions took), divided by the time seen;
 * so they do not depend on how often the worker looks. Connects, disconnects
 * and refusals come from the exact counters. Most connections is exact, most
 * busy and the time spent in a status are what the ticks saw.
 *
 * How unevenly holds begin is kept as the sum, over the ticks, of the square of those that
 * have begun by the length of the tick: arrivals.h says what follows from it.
 *
 * Time. Durations come from the monotonic clock, labels from the wall clock.
 * A stretch in which no tick fell is not there at all. When a tick comes much
 * too late (the machine was busy, the worker stopped or restarted), nobody
 * knows how the time in between is to be shared out: it is not counted as seen,
 * and the averages leave it out; the counters do not. Nor is the time before the
 * first tick of a series seen. What the counters got after the last tick of a
 * server's run comes with the first tick of the next one.
 *
 * A change of one clock against the other by PM_CLOCK_STEP is an event. When the
 * clock is set, the time of transactions is left out for one tick. When
 * it is set back by up to CLOCK_TOLERANCE (rings.c) the current stretch stays open until the
 * clock has caught up, and its "seen" is longer than itself; when by more, what is
 * labelled later than now is dropped, and an event says so.
 */
#include "postgres.h"

#include <math.h>

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "events/events.h"
#include "history/history.h"
#include "pools/declared.h"

/*
 * By more than this between ticks, the times of open transactions are not used: also
 * by what is far too little to be an event, PM_CLOCK_STEP. us.
 */
#define CLOCK_SHIFT		200000

/* A tick later than this, and than three intervals, was missed; us. */
#define LATE_TICK		(INT64CONST(10) * 1000000)

/* ---- a tick ---- */

typedef struct Tick
{
	int64		at;				/* us, monotonic */
	int64		elapsed;		/* us since the last one */
	uint32		ms;				/* the same in ms, what was left over carried */
	bool		missed;			/* that is too long */
	bool		clock_was_set;	/* meanwhile: times of open transactions jump */
	const PmOpen *open;
	const PmAtWork *work;
} Tick;

/*
 * What came to the counters since they were last put into the history. What is more than
 * there is room for comes with the next ticks, but not of what clients say: it need not
 * be true, and would go on for long. Less than nothing came while an account is
 * added to another: that is nothing, and what is there then comes the next time.
 */
static void
take_new(int account, uint64 *new)
{
	uint64	   *last = pm_accounts->all[account].in_history;
	uint64		now[PM_NUM_KEPT];

	pm_account_kept(account, now);
	for (int i = 0; i < PM_NUM_KEPT; i++)
	{
		int64		most = pm_is_reported_time(i) ? INT64CONST(1) << 53 : PG_UINT32_MAX;

		new[i] = Min(Max((int64) (now[i] - last[i]), 0), most);
		/* not by adding: reset() may just have put it to now */
		if (pm_is_reported(i))
			last[i] = Max(last[i], now[i]);
		else
			last[i] += new[i];
	}
}

/*
 * Time in transactions since the last tick. A hold that a session has not yet
 * written down can be missing for a moment, and the time of those that were read
 * late can be too much: what does not fit counts the next time.
 */
static double
take_busy(PmSeries *series, const Tick *tick, int most)
{
	int64		busy = (int64) pg_atomic_read_u64(&pm_accounts->all[series->account].busy) +
	tick->open->busy[series->account];
	int64		new = busy - series->busy;

	new = Max(Min(new, most * tick->elapsed), 0);
	series->busy = series->primed && !tick->missed && !tick->clock_was_set ? series->busy + new : busy;
	return new;
}

static double
take_open_time(PmSeries *series, const Tick *tick)
{
	int64		last = series->open_time;
	int			connections;

	if (!pm_account_open_time(series->account, tick->at, &series->open_time, &connections))
		series->open_time = last + connections * tick->elapsed;
	return Max(series->open_time - last, 0);
}

/* Sampled, so from this tick back to the last one. */
static void
take_waits(PmBucket *news, int account, const Tick *tick)
{
	for (int i = 0; i < PM_NUM_WAITS; i++)
		news->waits[i] = ((uint64) tick->ms * tick->work->waits[account][i] + PM_WAIT_UNIT / 2) / PM_WAIT_UNIT;
}

/*
 * Holds that have begun: those that have ended, and those that are under way now and were
 * not before. An end that was counted before its begin was seen makes up for it the next time.
 * (MAX_BACKENDS has no sign from 18 on.)
 */
static void
take_arrivals(PmBucket *news, PmSeries *series, const Tick *tick, int busy)
{
	double		arrivals = (double) news->transactions + busy - series->in_holds;

	series->in_holds = busy - (int) Max(Min(arrivals, 0), -(double) MAX_BACKENDS);
	if (tick->missed || !series->primed || tick->elapsed <= 0 || arrivals < 0)
		return;
	news->ticks = 1;
	news->squares = (uint32) Min(rint(arrivals * arrivals * 1000000 / tick->elapsed), PG_UINT32_MAX);
}

static PmBucket
take_news(PmSeries *series, const Tick *tick, const PmSeen *seen)
{
	PmBucket	news = {0};
	uint32		ms = tick->missed ? 0 : tick->ms;
	uint64		new[PM_NUM_KEPT];

	take_new(series->account, new);
	news.connects = new[PM_KEPT_CONNECTS];
	news.disconnects = new[PM_KEPT_ENDS];
	news.refused = new[PM_KEPT_REFUSED];
	news.rejected = new[PM_KEPT_REJECTED];
	news.guarded = new[PM_KEPT_GUARDED];
	news.would_be_guarded = new[PM_KEPT_WOULD_BE_GUARDED];
	news.guarded_by_reserves = new[PM_KEPT_GUARDED_BY_RESERVES];
	news.guarded_by_rate = new[PM_KEPT_GUARDED_BY_RATE];
	news.auth_failures = new[PM_KEPT_AUTH_FAILURES];
	news.retired = new[PM_KEPT_RETIRED];
	news.transactions = new[PM_KEPT_TRANSACTIONS];
	news.long_holds = new[PM_KEPT_LONG_HOLDS];
	news.checkouts = new[PM_KEPT_CHECKOUTS];
	news.checkout_waits = new[PM_KEPT_CHECKOUT_WAITS];
	news.waited = new[PM_KEPT_WAITED_US];
	news.checkout_timeouts = new[PM_KEPT_CHECKOUT_TIMEOUTS];
	news.timed_checkouts = new[PM_KEPT_TIMED_CHECKOUTS];
	news.checked_out = new[PM_KEPT_CHECKED_OUT_US];
	news.reported_open = new[PM_KEPT_REPORTED_OPEN_US];
	pm_account_take_tick_peak(series->account, &news.max_connections);
	news.max_busy = seen->busy;
	news.connections = take_open_time(series, tick);
	news.busy = take_busy(series, tick, news.max_connections);
	news.seen = ms;
	news.overflow = seen->overflow ? ms : 0;
	news.exhausted = seen->exhausted ? ms : 0;
	news.over = seen->over ? ms : 0;
	news.starved = seen->starved ? ms : 0;
	take_arrivals(&news, series, tick, seen->busy);
	if (!tick->missed && series->primed)
		take_waits(&news, series->account, tick);
	if (tick->clock_was_set)
		news.busy = 0;
	if (tick->missed || !series->primed)
		news.connections = news.busy = news.seen = news.overflow = news.exhausted = news.over = news.starved = 0;
	series->primed = true;
	return news;
}

/* What one series gets. */
typedef struct News
{
	int			series;
	PmBucket	bucket;
} News;

static News
news_of(int s, const Tick *tick, const PmSeen *seen)
{
	PmSeries   *series = &pm_history_rings->series[s];
	uint32		incarnation = pm_accounts->all[series->account].incarnation;

	series->primed = series->primed && series->incarnation == incarnation;
	series->incarnation = incarnation;
	return (News)
	{
		.series = s,.bucket = take_news(series, tick, seen)
	};
}

static void
count_ms(int account, PmCounter counter, uint32 ms)
{
	if (ms > 0)
		pg_atomic_fetch_add_u64(&pm_accounts->all[account].counters[counter], ms);
}

/*
 * A pool's. How long it was in a condition is counted here, too: so pool_stats says the
 * same as the minutes, and neither has what was not seen.
 */
static News
news_of_pool(int s, const Tick *tick, const PmSeen *seen)
{
	News		news = news_of(s, tick, seen);
	int			account = pm_history_rings->series[s].account;

	count_ms(account, PM_OVERFLOW_MS, news.bucket.overflow);
	count_ms(account, PM_EXHAUSTED_MS, news.bucket.exhausted);
	count_ms(account, PM_OVER_MS, news.bucket.over);
	count_ms(account, PM_STARVED_MS, news.bucket.starved);
	count_ms(account, PM_RETIREMENT_PAUSED_MS, seen->paused ? news.bucket.seen : 0);
	return news;
}

/* What all series get; returns how many. */
static int
gather_news(News *news, const PmRules *rules, const Tick *tick, const PmSeen *pools,
			const PmSeen *undeclared, const PmSeen *server)
{
	const int  *series = pm_history_rings->series_of_pool;
	int			n = 0;

	for (int i = 0; i < rules->npools; i++)
	{
		/* what has no account of its own is in that of many */
		if (series[i] >= 0 && rules->accounts[i] != pm_other_account())
			news[n++] = news_of_pool(series[i], tick, &pools[i]);
	}
	news[n++] = news_of(pm_max_pools, tick, undeclared);
	news[n++] = news_of(pm_max_pools + 1, tick, server);
	for (int s = pm_first_application_series(); s < pm_history_rings->nseries; s++)
	{
		int			account = pm_history_rings->series[s].account;
		PmSeen		seen = {.busy = account >= 0 ? tick->work->busy[account] : 0};

		if (account >= 0)
			news[n++] = news_of(s, tick, &seen);
	}
	return n;
}

/* Into the minute and the hour of now. Takes the lock; returns how many were dropped. */
static int
put_news(const News *news, int n, TimestampTz now)
{
	PmHistory  *history = pm_history_rings;
	int			dropped = 0;

	for (int r = 0; r < PM_NUM_RINGS; r++)
		pm_history_approach(&history->rings[r], now);
	LWLockAcquire(&history->lock, LW_EXCLUSIVE);
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		PmRing	   *ring = &history->rings[r];

		dropped += pm_history_open(ring, now);
		for (int i = 0; i < n; i++)
			pm_bucket_add(&ring->buckets[(Size) news[i].series * ring->length + ring->head], &news[i].bucket);
	}
	LWLockRelease(&history->lock);
	return dropped;
}

/* us that the wall clock went more than the monotonic one, between two ticks */
static void
tell_of_step(int64 step)
{
	pm_event(PM_EVENT_CLOCK_STEP, NULL, 0, "{\"seconds\": %.3f}", step / 1000000.0);
	ereport(LOG,
			(step > 0 ?
			 errmsg("the clock went forward by %.3f s: it was set, or the machine was suspended", step / 1000000.0) :
			 errmsg("the clock was set back by %.3f s", -step / 1000000.0),
			 errdetail("Ages and idle times of sessions go by the younger of this clock and the monotonic one.")));
}

/* us since the last tick; 0: there was none yet */
static int64
since_last_tick(int64 at)
{
	return pm_history_rings->last_tick == 0 ? 0 : at - pm_history_rings->last_tick;
}

static bool
is_too_long(int64 elapsed)
{
	return elapsed > Max(LATE_TICK, INT64CONST(3000) * pm_sample_interval);
}

/*
 * us that a tick at this moment, of the monotonic clock, will count as seen: from the last
 * one on, whichever worker's that was. Only the worker asks, before the tick.
 */
int64
pm_history_elapsed(int64 at)
{
	int64		elapsed = since_last_tick(at);

	return is_too_long(elapsed) ? 0 : elapsed;
}

/* How the clocks went since the last tick. Returns the wall clock's step against the other. */
static int64
measure_time(Tick *tick, TimestampTz now)
{
	PmHistory  *history = pm_history_rings;
	bool		first = history->last_tick == 0;
	int64		step;

	tick->elapsed = since_last_tick(tick->at);
	tick->ms = (tick->elapsed + history->rest) / 1000;
	history->rest = (tick->elapsed + history->rest) % 1000;
	step = first ? 0 : now - history->last_wall - tick->elapsed;
	tick->clock_was_set = step > CLOCK_SHIFT || step < -CLOCK_SHIFT;
	tick->missed = is_too_long(tick->elapsed);
	history->last_tick = tick->at;
	history->last_wall = now;
	return step;
}

/*
 * Called by the worker at each tick, with what it saw of each declared pool, and
 * when: by the wall clock, and in us of the monotonic one. Allocates in the current
 * memory context; takes the lock, only to write into the rings: the rest is the worker's.
 */
void
pm_history_tick(const PmRules *rules, const PmSeen *pools, const PmSeen *undeclared,
				const PmSeen *server, const PmOpen *open, const PmAtWork *work, TimestampTz now, int64 at)
{
	Tick		tick = {.at = at,.open = open,.work = work};
	News	   *news = palloc(sizeof(News) * (rules->npools + 2 + PM_APPLICATION_SERIES));
	int64		step;
	int			n;
	int			dropped;

	if (pm_history_rings->generation != rules->generation)
		pm_history_map(rules);
	step = measure_time(&tick, now);
	pm_history_follow(tick.elapsed);
	n = gather_news(news, rules, &tick, pools, undeclared, server);
	dropped = put_news(news, n, now);
	pfree(news);

	if (step >= PM_CLOCK_STEP || step <= -PM_CLOCK_STEP)
		tell_of_step(step);
	if (dropped > 0)
		pm_event(PM_EVENT_CLOCK_SET_BACK, NULL, 0, "{\"history_dropped\": %d}", dropped);
}
