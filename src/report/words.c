/*
 * words.c
 *		Numbers and times for people. ASCII; in the caller's memory context.
 *
 * Three digits are enough for a picture; what is exact is in the views. Times are of the
 * session's TimeZone.
 */
#include "postgres.h"

#include <math.h>

#include "pgtime.h"
#include "report/words.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define NONE	"-"

/* Whole numbers with a comma for each thousand; NaN: none. */
char *
pm_number_words(double number)
{
	char	   *digits;
	char	   *text;
	int			len;
	int			to = 0;

	if (isnan(number) || fabs(number) >= 1e15)
		return pstrdup(isnan(number) ? NONE : "very many");
	if (number != rint(number) && fabs(number) < 100)
		return psprintf(fabs(number) < 10 ? "%.3g" : "%.1f", number);
	digits = psprintf("%.0f", fabs(number));
	len = strlen(digits);
	text = palloc(2 * len + 2);
	if (number < 0 && strcmp(digits, "0") != 0)
		text[to++] = '-';
	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}

/* What is not nothing is not said to be, and what is not all neither. */
char *
pm_share_words(double share)
{
	if (isnan(share))
		return pstrdup(NONE);
	if (share > 0 && share < 0.001)
		return pstrdup("below 0.1 %");
	if (share > 0.99 && share < 1)
		return pstrdup("above 99 %");
	return psprintf(share < 0.1 && share > 0 ? "%.1f %%" : "%.0f %%", share * 100);
}

char *
pm_seconds_words(double seconds)
{
	static const struct
	{
		double		below;
		double		unit;
		const char *name;
	}			units[] = {
		{1, 0.001, "ms"}, {60, 1, "s"}, {3600, 60, "min"}, {2 * 86400, 3600, "h"}, {INFINITY, 86400, "d"}
	};
	int			u = 0;
	double		value;

	if (isnan(seconds) || isinf(seconds))
		return pstrdup(NONE);
	if (seconds == 0)
		return pstrdup("0 s");
	while (seconds >= units[u].below)
		u++;
	value = seconds / units[u].unit;
	return psprintf(value < 0.01 ? "%.0e %s" : value < 10 ? "%.2g %s" : "%.0f %s", value, units[u].name);
}

char *
pm_bytes_words(double bytes)
{
	static const char *const names[] = {"bytes", "kB", "MB", "GB", "TB"};
	int			u = 0;

	if (isnan(bytes))
		return pstrdup(NONE);
	while (bytes >= 1024 && u < (int) lengthof(names) - 1)
	{
		bytes /= 1024;
		u++;
	}
	return psprintf(bytes < 10 && u > 0 ? "%.1f %s" : "%.0f %s", bytes, names[u]);
}

/* ---- times ---- */

static bool
local_time(TimestampTz at, struct pg_tm *tm)
{
	fsec_t		fsec;
	int			tz;

	return at != 0 && timestamp2tm(at, &tz, tm, &fsec, NULL, NULL) == 0;
}

char *
pm_day_words(TimestampTz at)
{
	struct pg_tm tm;

	if (!local_time(at, &tm))
		return pstrdup(NONE);
	return psprintf("%d %s", tm.tm_mday, months[tm.tm_mon - 1]);
}

char *
pm_clock_words(TimestampTz at, bool seconds)
{
	struct pg_tm tm;

	if (!local_time(at, &tm))
		return pstrdup(NONE);
	return seconds ? psprintf("%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec) : psprintf("%02d:%02d", tm.tm_hour, tm.tm_min);
}

char *
pm_moment_words(TimestampTz at, bool seconds)
{
	struct pg_tm tm;

	if (!local_time(at, &tm))
		return pstrdup(NONE);
	return psprintf("%04d-%02d-%02d %s", tm.tm_year, tm.tm_mon, tm.tm_mday, pm_clock_words(at, seconds));
}
