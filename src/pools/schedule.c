/*
 * schedule.c
 *		When a pool's sessions may be retired.
 *
 * A window is of local time: on the day on which clocks are set forward, an hour
 * that does not exist is no window, and one that happens twice, when they are
 * set back, is a window twice.
 */
#include "postgres.h"

#include "pgtime.h"
#include "pools/schedule.h"
#include "utils/timestamp.h"

#define DAY 86400				/* s */

/* Two digits up to most, -1 when they are not. */
static int
two_digits(const char *text, int most)
{
	int			value;

	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	value = (text[0] - '0') * 10 + text[1] - '0';
	return value <= most ? value : -1;
}

/* "HH:MM" as seconds of the day, 24:00 among them; -1 when it is not. */
static int
time_of_day(const char *text)
{
	int			hour = two_digits(text, 24);
	int			minute;

	if (hour < 0 || text[2] != ':')
		return -1;
	minute = two_digits(text + 3, 59);
	if (minute < 0 || (hour == 24 && minute > 0))
		return -1;
	return hour * 3600 + minute * 60;
}

/*
 * Reads the times of "22:00-06:00 Europe/Berlin", and copies the zone's name; NULL
 * when it could, else what is wrong.
 */
static const char *
parse_times(const char *text, PmWindow *window)
{
	memset(window, 0, sizeof(*window));
	window->limited = true;
	if (strlen(text) < 13 || text[5] != '-' || text[11] != ' ')
		return "it must be HH:MM-HH:MM and a time zone, as in 22:00-06:00 Europe/Berlin";
	window->from = time_of_day(text);
	window->to = time_of_day(text + 6);
	if (window->from < 0 || window->to < 0 || window->from == DAY)
		return "its times must be between 00:00 and 24:00";
	if (window->from == window->to)
		return "it must not end when it begins";
	if (strlen(text + 12) >= PM_ZONE_LEN)
		return "the name of its time zone is too long";
	strlcpy(window->zone, text + 12, PM_ZONE_LEN);
	return NULL;
}

/*
 * Names with digits are POSIX specifications, whose sign is the other way round
 * (UTC+2 is west of Greenwich), but for those of the folder Etc.
 */
static bool
zone_is_known(const char *zone)
{
	pg_tz	   *tz;

	if (strpbrk(zone, "0123456789") != NULL && strncmp(zone, "Etc/", 4) != 0)
		return false;
	tz = pg_tzset(zone);
	return tz != NULL && pg_tz_acceptable(tz);
}

/*
 * As the first of these, and sees to it that there is such a time zone, now. May
 * read the zone's file, and allocate for good what it says. Where only the zone is
 * not there, the window is filled in all the same.
 */
const char *
pm_window_parse(const char *text, PmWindow *window)
{
	const char *wrong = parse_times(text, window);

	if (wrong == NULL && !zone_is_known(window->zone))
		wrong = "there is no such time zone";
	return wrong;
}

/* A window whose time zone is gone (it was there when it was declared) is shut. */
bool
pm_window_open(const PmWindow *window, TimestampTz at)
{
	pg_tz	   *tz;
	pg_time_t	time;
	struct pg_tm *tm;
	int			second;

	if (!window->limited)
		return true;
	tz = window->zone[0] != '\0' ? pg_tzset(window->zone) : NULL;
	if (tz == NULL)
		return false;
	time = timestamptz_to_time_t(at);
	tm = pg_localtime(&time, tz);
	if (tm == NULL)
		return false;
	second = tm->tm_hour * 3600 + tm->tm_min * 60 + tm->tm_sec;
	if (window->from < window->to)
		return second >= window->from && second < window->to;
	return second >= window->from || second < window->to;
}

/*
 * The least time between two retirements of a pool whose sessions are to live
 * for so long, in us like the result: lifetime / ceiling, the rate at which a
 * pool whose ages are spread evenly replaces its sessions itself (and the rate of
 * PgBouncer's server_lifetime). A pool without a ceiling goes by its budget, else
 * by its base or the connections it has, whichever is more.
 */
int64
pm_pool_gap(const PmPool *pool, int64 lifetime, int64 connections)
{
	int64		size = pool->ceiling > 0 ? pool->ceiling : pool->budget > 0 ? pool->budget : Max(pool->base, connections);

	return pm_retirement_gap(lifetime, Max(size, 1));
}

/* Sessions a second that the pool replaces by itself, because of their age. */
double
pm_pool_own_rate(const PmPool *pool, int64 connections)
{
	int64		gap = pool->pool_recycle > 0 ? pm_pool_gap(pool, pool->pool_recycle, connections) : 0;

	return gap > 0 ? 1000000.0 / gap : 0;
}

/* Rounded up, so that n connections take a whole lifetime at least. */
int64
pm_retirement_gap(int64 lifetime, int64 connections)
{
	return lifetime / connections + (lifetime % connections != 0);
}
