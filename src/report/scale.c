/*
 * scale.c
 *		Where numbers and times stand in a picture, and which of them are marked.
 *
 * Marks of time are where the clocks of the session's TimeZone have round ones: from midnight
 * on, by steps that a day is made of; whole days from a fixed Monday on. On the day on which
 * the clocks are set, steps are an hour longer or shorter once, as the day is.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "pgtime.h"
#include "report/scale.h"
#include "report/words.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define DAY_SECONDS		86400

PmScale
pm_scale(double most, int ticks)
{
	static const int of_ten[] = {1, 2, 5};
	PmScale		scale = {.step = 1};

	if (!(most < 1e12))
		most = isnan(most) ? 0 : 1e12;
	for (int i = 0; ceil(Max(most, 1) / scale.step) > ticks; i++)
		scale.step = of_ten[(i + 1) % 3] * pow(10, (i + 1) / 3);
	scale.top = ceil(Max(most, 1) / scale.step) * scale.step;
	return scale;
}

/* In s; from a day on whole ones. */
static int
step_of(double span, int most)
{
	static const int steps[] = {
		60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
		DAY_SECONDS, 2 * DAY_SECONDS, 7 * DAY_SECONDS, 14 * DAY_SECONDS, 28 * DAY_SECONDS, 91 * DAY_SECONDS
	};

	for (int i = 0; i < (int) lengthof(steps); i++)
	{
		if (span / steps[i] <= most)
			return steps[i];
	}
	return 182 * DAY_SECONDS;
}

/* The moment at which the clocks show this. */
static bool
moment_of(int day, int second, TimestampTz *at)
{
	struct pg_tm tm = {.tm_hour = second / 3600,.tm_min = second / 60 % 60,.tm_sec = second % 60};
	int			tz;

	j2date(day, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tz = DetermineTimeZoneOffset(&tm, session_timezone);
	return tm2timestamp(&tm, 0, &tz, at) == 0;
}

static void
add_tick(PmTimeTicks *ticks, TimestampTz at, bool is_day)
{
	PmTimeTick *tick;

	/*
	 * clocks that are set forward show a time that they have left out as
	 * another
	 */
	if (ticks->n == PM_MOST_TICKS || (ticks->n > 0 && at <= ticks->all[ticks->n - 1].at))
		return;
	tick = &ticks->all[ticks->n++];
	tick->at = at;
	strlcpy(tick->label, is_day ? pm_day_words(at) : pm_clock_words(at, false), sizeof(tick->label));
}

/* Every second one, so that the first midnight is among them. */
static void
choose_major(PmTimeTicks *ticks)
{
	int			first = 0;

	for (int i = ticks->n - 1; i >= 0; i--)
	{
		if (strchr(ticks->all[i].label, ':') == NULL)
			first = i;
	}
	for (int i = 0; i < ticks->n; i++)
		ticks->all[i].is_major = (i - first) % 2 == 0;
}

void
pm_time_ticks(TimestampTz since, TimestampTz until, int most, PmTimeTicks *ticks)
{
	int			step = step_of((until - since) / (double) USECS_PER_SEC, most);
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;
	int			day;
	int			second;

	ticks->n = 0;
	if (until <= since || timestamp2tm(since, &tz, &tm, &fsec, NULL, NULL) != 0)
		return;
	day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
	second = tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
	if (step >= DAY_SECONDS)
		day -= day % (step / DAY_SECONDS);
	second = step >= DAY_SECONDS ? 0 : second - second % step;
	for (TimestampTz at; moment_of(day, second, &at) && at < until;)
	{
		if (at >= since)
			add_tick(ticks, at, second == 0);
		second += step;
		day += second / DAY_SECONDS;
		second %= DAY_SECONDS;
	}
	choose_major(ticks);
}
