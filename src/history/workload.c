/*
 * workload.c
 *		What a pool did in a span of time, in one sum.
 *
 * By its minutes, as far as they are kept. Before the oldest of them whole hours
 * stand for what is gone. The hour in which the oldest minute lies has had that
 * minute too, and those after it: it counts in their place if it has more than
 * they have, so that nothing counts twice, and nothing that either ring has is
 * left out. As everywhere, a stretch is in the span in which it begins.
 */
#include "postgres.h"

#include <math.h>

#include "history/workload.h"
#include "utils/timestamp.h"

#define LOOK_INTERVAL	60.0	/* s, at least between two independent looks */
#define GOOD_SAMPLES	30		/* of so many an average is good */

#define MINUTE		INT64CONST(60000000)	/* us */
#define HOUR		(60 * MINUTE)
#define MINUTE_MS	60000

/* The most busy in each stretch, and the minutes that this is said of. */
typedef struct Peaks
{
	int			count;
	int		   *busy;
	int		   *minutes;
} Peaks;

/* What is to be read for the sum: whole hours of minutes, for the comparison. */
PmSpan
pm_workload_reads(PmSpan span)
{
	int64		begun = TIMESTAMP_NOT_FINITE(span.until) ? 0 : span.until % HOUR;

	if (begun != 0)
		span.until += begun > 0 ? HOUR - begun : -begun;
	return span;
}

static void
add(PmWorkload *work, const PmBucket *bucket)
{
	work->nstretches++;
	work->seen += bucket->seen;
	work->connections += bucket->connections;
	work->busy += bucket->busy;
	work->max_connections = Max(work->max_connections, bucket->max_connections);
	work->max_busy = Max(work->max_busy, bucket->max_busy);
	work->transactions += bucket->transactions;
	work->long_holds += bucket->long_holds;
	work->connects += bucket->connects;
	work->disconnects += bucket->disconnects;
	work->retired += bucket->retired;
	work->refused += bucket->refused;
	work->rejected += bucket->rejected;
	work->guarded += bucket->guarded;
	work->would_be_guarded += bucket->would_be_guarded;
	work->guarded_by_reserves += bucket->guarded_by_reserves;
	work->guarded_by_rate += bucket->guarded_by_rate;
	work->auth_failures += bucket->auth_failures;
	work->overflow += bucket->overflow;
	work->exhausted += bucket->exhausted;
	work->over += bucket->over;
	work->starved += bucket->starved;
	for (int i = 0; i < PM_NUM_WAITS; i++)
		work->waits[i] += bucket->waits[i];
	work->checkouts += bucket->checkouts;
	work->checkout_waits += bucket->checkout_waits;
	work->checkout_timeouts += bucket->checkout_timeouts;
	work->waited += bucket->waited;
	work->timed_checkouts += bucket->timed_checkouts;
	work->checked_out += bucket->checked_out;
	work->reported_open += bucket->reported_open;
}

static void
add_stretch(PmWorkload *work, Peaks *peaks, const PmBucket *bucket, int minutes)
{
	if (!pm_bucket_has_something(bucket))
		return;
	add(work, bucket);
	peaks->busy[peaks->count] = bucket->max_busy;
	peaks->minutes[peaks->count++] = minutes;
}

/* How many minutes of it were watched; one at least, of what happened unseen. */
static int
minutes_in(const PmBucket *hour)
{
	return Min(Max((hour->seen + MINUTE_MS - 1) / MINUTE_MS, 1), 60);
}

/* Has the hour more than its first n minutes have that are kept? */
static bool
has_more(const PmBucket *hour, const PmBucket *minutes, int n)
{
	PmWorkload	kept = {0};

	for (int i = 0; i < n; i++)
		add(&kept, &minutes[i]);
	return hour->seen > kept.seen || hour->connects > kept.connects || hour->disconnects > kept.disconnects ||
		hour->refused > kept.refused || hour->rejected > kept.rejected || hour->auth_failures > kept.auth_failures ||
		hour->guarded > kept.guarded || hour->would_be_guarded > kept.would_be_guarded ||
		hour->retired > kept.retired || hour->transactions > kept.transactions || hour->checkouts > kept.checkouts ||
		hour->checkout_timeouts > kept.checkout_timeouts;
}

/* Chooses the hours that stand for minutes; returns how many minutes these were besides. */
static int
choose_hours(const PmPast *past, TimestampTz since, PmChosen *chosen)
{
	const PmRingCopy *hours = &past->rings[PM_HOURS];
	const PmRingCopy *minutes = &past->rings[PM_MINUTES];
	int			replaced = 0;

	for (int h = 0; h < hours->count && hours->starts[h] < minutes->oldest; h++)
	{
		const PmBucket *hour = &hours->buckets[h];
		int			n = 0;

		if (hours->starts[h] < since)
			continue;
		while (n < minutes->count && minutes->starts[n] < hours->starts[h] + HOUR)
			n++;
		if (n > 0 && !has_more(hour, minutes->buckets, n))
			continue;
		chosen->all[chosen->n++] = (PmStretchOf)
		{
			hours->starts[h], HOUR, hour
		};
		replaced = n;
	}
	return replaced;
}

/*
 * What of a past that was read with pm_workload_reads(), of this span or of one that begins
 * earlier, counts in the span, the oldest first.
 */
void
pm_choose_stretches(const PmPast *past, PmSpan span, PmChosen *chosen)
{
	const PmRingCopy *minutes = &past->rings[PM_MINUTES];

	chosen->n = 0;
	chosen->all = palloc((minutes->count + past->rings[PM_HOURS].count) * sizeof(PmStretchOf));
	for (int i = choose_hours(past, span.since, chosen); i < minutes->count && minutes->starts[i] < span.until; i++)
	{
		if (minutes->starts[i] >= span.since)
			chosen->all[chosen->n++] = (PmStretchOf)
		{
			minutes->starts[i], MINUTE, &minutes->buckets[i]
		};
	}
}

static int64
minutes_up_to(const Peaks *peaks, int busy)
{
	int64		minutes = 0;

	for (int i = 0; i < peaks->count; i++)
		minutes += peaks->busy[i] <= busy ? peaks->minutes[i] : 0;
	return minutes;
}

/* The smallest number that is not exceeded in this share of the minutes: percentile_disc(). */
static int
quantile(const Peaks *peaks, double share, int max)
{
	int64		rank = Max((int64) ceil(share * minutes_up_to(peaks, max)), 1);
	int			low = 0;
	int			high = max;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (minutes_up_to(peaks, middle) >= rank)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The span, of a past as for pm_choose_stretches(). */
void
pm_workload_of(const PmPast *past, PmSpan span, PmWorkload *work)
{
	PmChosen	chosen;
	Peaks		peaks = {0};

	memset(work, 0, sizeof(PmWorkload));
	pm_choose_stretches(past, span, &chosen);
	peaks.busy = palloc(chosen.n * sizeof(int));
	peaks.minutes = palloc(chosen.n * sizeof(int));
	for (int i = 0; i < chosen.n; i++)
	{
		const PmBucket *bucket = chosen.all[i].bucket;

		add_stretch(work, &peaks, bucket, chosen.all[i].length == HOUR ? minutes_in(bucket) : 1);
	}
	work->p95_busy = quantile(&peaks, 0.95, work->max_busy);
	pfree(peaks.busy);
	pfree(peaks.minutes);
	pfree(chosen.all);
}

/*
 * How many independent looks the averages are worth. Of M/M/inf the numbers that are
 * busy at two moments correlate by exp(-time between / mean hold time), 0.14 after
 * two of these. So a look in each two mean hold times, no more than one a minute,
 * and no more than there were transactions. See docs/sizing.md.
 */
double
pm_workload_samples(const PmWorkload *work)
{
	double		apart = LOOK_INTERVAL;

	if (work->seen > 0 && work->transactions > 0)
		apart = Max(apart, 2 * (work->busy / 1000000.0) / work->transactions);
	return Min((double) work->transactions, work->seen / 1000.0 / apart);
}

bool
pm_workload_is_good(const PmWorkload *work)
{
	return pm_workload_samples(work) >= GOOD_SAMPLES;
}
