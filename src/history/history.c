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
 * it is set back by up to CLOCK_TOLERANCE the current stretch stays open until the
 * clock has caught up, and its "seen" is longer than itself; when by more, what is
 * labelled later than now is dropped, and an event says so.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "events/events.h"
#include "history/history.h"
#include "pools/declared.h"

#define MINUTE			(INT64CONST(60) * 1000000)
#define HOUR			(60 * MINUTE)
#define CLOCK_TOLERANCE	HOUR

/*
 * By more than this between ticks, the times of open transactions are not used: also
 * by what is far too little to be an event, PM_CLOCK_STEP. us.
 */
#define CLOCK_SHIFT		200000

/* A tick later than this, and than three intervals, was missed; us. */
#define LATE_TICK		(INT64CONST(10) * 1000000)

PmHistory  *pm_history_rings = NULL;

static int
num_series(void)
{
	return pm_max_pools + 2;
}

static Size
ring_size(int length)
{
	return add_size(MAXALIGN(mul_size(length, sizeof(TimestampTz))),
					MAXALIGN(mul_size(mul_size(length, num_series()), sizeof(PmBucket))));
}

static Size
history_size(void)
{
	Size		size = MAXALIGN(sizeof(PmHistory));

	size = add_size(size, MAXALIGN(mul_size(num_series(), sizeof(PmSeries))));
	size = add_size(size, MAXALIGN(mul_size(pm_max_pools, sizeof(int))));
	size = add_size(size, ring_size(pm_history_minutes));
	return add_size(size, ring_size(pm_history_hours));
}

static char *
init_ring(PmRing *ring, int length, int64 resolution, char *at)
{
	ring->length = length;
	ring->resolution = resolution;
	ring->starts = (TimestampTz *) at;
	at += MAXALIGN(length * sizeof(TimestampTz));
	ring->buckets = (PmBucket *) at;
	return at + MAXALIGN((Size) length * num_series() * sizeof(PmBucket));
}

static void
attach_history(void *memory)
{
	pm_history_rings = memory;
}

static void
init_history(void)
{
	PmHistory  *history = pm_history_rings;
	char	   *at = (char *) history + MAXALIGN(sizeof(PmHistory));

	LWLockInitialize(&history->lock, pm_tranche());
	history->nseries = num_series();
	history->series = (PmSeries *) at;
	at += MAXALIGN(history->nseries * sizeof(PmSeries));
	history->series_of_pool = (int *) at;
	at += MAXALIGN(pm_max_pools * sizeof(int));
	at = init_ring(&history->rings[0], pm_history_minutes, MINUTE, at);
	init_ring(&history->rings[1], pm_history_hours, HOUR, at);

	for (int i = 0; i < history->nseries; i++)
		history->series[i].account = -1;
	strlcpy(history->series[pm_max_pools].name, "(undeclared)", PM_NAME_LEN);
	history->series[pm_max_pools].account = pm_undeclared_account();
	strlcpy(history->series[pm_max_pools + 1].name, "(server)", PM_NAME_LEN);
	history->series[pm_max_pools + 1].account = pm_server_account();
}

static Size
explain_history(StringInfo text)
{
	Size		series = mul_size(num_series(), sizeof(PmBucket));
	Size		minutes = mul_size(series, pm_history_minutes);
	Size		hours = mul_size(series, pm_history_hours);

	appendStringInfo(text,
					 "History by the minute (\"pool_monitor.max_pools\" %d, \"pool_monitor.history_minutes\" %d): %zu MB. "
					 "History by the hour (\"pool_monitor.max_pools\", \"pool_monitor.history_hours\" %d): %zu MB. ",
					 pm_max_pools, pm_history_minutes, minutes >> 20, pm_history_hours, hours >> 20);
	return minutes + hours;
}

const PmSection pm_history_section = {
	.name = "history",
	.size = history_size,
	.attach = attach_history,
	.init = init_history,
	.explain = explain_history,
};

PmHistory *
pm_history_memory(void)
{
	return pm_history_rings;
}

/* ---- series ---- */

/* Forgets what an earlier owner of the series did. */
static void
clear_series(PmHistory *history, int series)
{
	for (int r = 0; r < PM_NUM_RINGS; r++)
		memset(history->rings[r].buckets + (Size) series * history->rings[r].length, 0,
			   history->rings[r].length * sizeof(PmBucket));
	memset(&history->series[series], 0, sizeof(PmSeries));
	history->series[series].account = -1;
}

/*
 * The series with this name; a new one if there is none yet, in a free place or
 * that of a pool that is not declared if it may be; -1 when there is none.
 * Caller holds the lock exclusively.
 */
int
pm_history_series(const char *name, bool may_replace)
{
	PmHistory  *history = pm_history_rings;
	int			place = -1;

	for (int i = 0; i < history->nseries; i++)
	{
		PmSeries   *series = &history->series[i];

		if (strcmp(series->name, name) == 0)
			return i;
		if (series->name[0] != '\0' && !may_replace)
			continue;
		if (series->account < 0 && (place < 0 || (series->name[0] == '\0' && history->series[place].name[0] != '\0')))
			place = i;
	}
	if (place >= 0)
	{
		clear_series(history, place);
		strlcpy(history->series[place].name, name, PM_NAME_LEN);
	}
	return place;
}

/*
 * The declarations have changed. Those that go on keep their series before the
 * new ones take the places of those that do not.
 */
static void
map_series(PmHistory *history, const PmRules *rules)
{
	for (int s = 0; s < pm_max_pools; s++)
	{
		PmSeries   *series = &history->series[s];
		int			former = series->account;

		series->account = -1;
		for (int i = 0; i < rules->npools && series->name[0] != '\0'; i++)
		{
			if (strcmp(series->name, rules->pools[i].name) == 0)
				series->account = rules->accounts[i];
		}
		series->primed = series->primed && series->account == former;
	}
	for (int i = 0; i < rules->npools; i++)
	{
		int			s = pm_history_series(rules->pools[i].name, true);

		history->series_of_pool[i] = s;
		if (s >= 0)
			history->series[s].account = rules->accounts[i];
	}
	history->generation = rules->generation;
}

/* ---- time ---- */

static void
advance(PmRing *ring, TimestampTz start)
{
	ring->head = ring->count == 0 ? 0 : (ring->head + 1) % ring->length;
	ring->count = Min(ring->count + 1, ring->length);
	ring->starts[ring->head] = start;
	for (int s = 0; s < num_series(); s++)
		memset(&ring->buckets[(Size) s * ring->length + ring->head], 0, sizeof(PmBucket));
}

/* Makes the stretch that "now" belongs to the head; returns how many were dropped. */
static int
open_stretch(PmRing *ring, TimestampTz now)
{
	TimestampTz start = now - now % ring->resolution;
	int			dropped = 0;

	if (ring->count > 0 && ring->starts[ring->head] - now > CLOCK_TOLERANCE)
	{
		while (ring->count > 0 && ring->starts[ring->head] > now)
		{
			ring->head = (ring->head + ring->length - 1) % ring->length;
			ring->count--;
			dropped++;
		}
	}
	if (ring->count == 0 || ring->starts[ring->head] < start)
		advance(ring, start);
	return dropped;
}

/* ---- a tick ---- */

typedef struct Tick
{
	int64		at;				/* us, monotonic */
	int64		elapsed;		/* us since the last one */
	uint32		ms;				/* the same in ms, what was left over carried */
	bool		missed;			/* that is too long */
	bool		clock_was_set;	/* meanwhile: times of open transactions jump */
	const PmOpen *open;
} Tick;

/* What came to the counter since it was last put into the history. */
static uint32
take_new(int account, PmKept which)
{
	uint64	   *last = &pm_accounts->all[account].in_history[which];
	uint64		now = pm_account_kept(account, which);
	uint32		new = (uint32) (now - *last);

	*last = now;
	return new;
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

static PmBucket
take_news(PmSeries *series, const Tick *tick, const PmSeen *seen)
{
	PmBucket	news = {0};
	uint32		ms = tick->missed ? 0 : tick->ms;
	int			account = series->account;

	news.connects = take_new(account, PM_KEPT_CONNECTS);
	news.disconnects = take_new(account, PM_KEPT_ENDS);
	news.refused = take_new(account, PM_KEPT_REFUSED);
	news.retired = take_new(account, PM_KEPT_RETIRED);
	news.transactions = take_new(account, PM_KEPT_TRANSACTIONS);
	pm_account_take_tick_peak(account, &news.max_connections);
	news.max_busy = seen->busy;
	news.connections = take_open_time(series, tick);
	news.busy = take_busy(series, tick, news.max_connections);
	news.seen = ms;
	news.overflow = seen->overflow ? ms : 0;
	news.exhausted = seen->exhausted ? ms : 0;
	news.over = seen->over ? ms : 0;
	if (tick->clock_was_set)
		news.busy = 0;
	if (tick->missed || !series->primed)
		news.connections = news.busy = news.seen = news.overflow = news.exhausted = news.over = 0;
	series->primed = true;
	return news;
}

static void
add_news(PmBucket *bucket, const PmBucket *news)
{
	bucket->connections += news->connections;
	bucket->busy += news->busy;
	bucket->seen += news->seen;
	bucket->max_connections = Max(bucket->max_connections, news->max_connections);
	bucket->max_busy = Max(bucket->max_busy, news->max_busy);
	bucket->connects += news->connects;
	bucket->disconnects += news->disconnects;
	bucket->refused += news->refused;
	bucket->retired += news->retired;
	bucket->transactions += news->transactions;
	bucket->overflow += news->overflow;
	bucket->exhausted += news->exhausted;
	bucket->over += news->over;
}

static void
tick_series(PmHistory *history, int s, const Tick *tick, const PmSeen *seen)
{
	PmSeries   *series = &history->series[s];
	uint32		incarnation = pm_accounts->all[series->account].incarnation;
	PmBucket	news;

	series->primed = series->primed && series->incarnation == incarnation;
	series->incarnation = incarnation;
	news = take_news(series, tick, seen);
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		PmRing	   *ring = &history->rings[r];

		add_news(&ring->buckets[(Size) s * ring->length + ring->head], &news);
	}
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

/*
 * Called by the worker at each tick, with what it saw of each declared pool, and
 * when: by the wall clock, and in us of the monotonic one. Takes its lock.
 */
void
pm_history_tick(const PmRules *rules, const PmSeen *pools, const PmSeen *undeclared,
				const PmSeen *server, const PmOpen *open, TimestampTz now, int64 at)
{
	PmHistory  *history = pm_history_rings;
	Tick		tick = {.at = at,.open = open};
	int64		step;
	int			dropped = 0;

	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	tick.elapsed = history->last_tick == 0 ? 0 : tick.at - history->last_tick;
	tick.ms = (tick.elapsed + history->rest) / 1000;
	history->rest = (tick.elapsed + history->rest) % 1000;
	step = history->last_tick == 0 ? 0 : now - history->last_wall - tick.elapsed;
	tick.clock_was_set = step > CLOCK_SHIFT || step < -CLOCK_SHIFT;
	tick.missed = tick.elapsed > Max(LATE_TICK, INT64CONST(3000) * pm_sample_interval);
	if (history->generation != rules->generation)
		map_series(history, rules);
	for (int r = 0; r < PM_NUM_RINGS; r++)
		dropped += open_stretch(&history->rings[r], now);
	for (int i = 0; i < rules->npools; i++)
	{
		/* what has no account of its own is in that of many */
		if (history->series_of_pool[i] >= 0 && rules->accounts[i] != pm_other_account())
			tick_series(history, history->series_of_pool[i], &tick, &pools[i]);
	}
	tick_series(history, pm_max_pools, &tick, undeclared);
	tick_series(history, pm_max_pools + 1, &tick, server);
	history->last_tick = tick.at;
	history->last_wall = now;
	LWLockRelease(&pm_history_rings->lock);

	if (step >= PM_CLOCK_STEP || step <= -PM_CLOCK_STEP)
		tell_of_step(step);
	if (dropped > 0)
		pm_event(PM_EVENT_CLOCK_SET_BACK, NULL, 0, "{\"history_dropped\": %d}", dropped);
}
