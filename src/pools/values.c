/*
 * values.c
 *		Values of pool_monitor.pools. What is wrong with one is said in words that
 *		follow the name of its column.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/detoast.h"
#include "base/compat.h"
#include "common/int.h"
#include "pools/schedule.h"
#include "pools/values.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

/* Its text, NULL if it is longer than that; without unpacking a long one. */
static char *
short_text(Datum value, Size most)
{
	if (toast_raw_datum_size(value) - VARHDRSZ > most)
		return NULL;
	return TextDatumGetCString(value);
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

/* It stands in quotes in the server log: nothing in it ends them. */
const char *
pm_read_name(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	char	   *name = short_text(value, PM_NAME_LEN - 1);

	if (name == NULL || name[0] == '\0' || name[0] == '(' || !is_printable(name) ||
		strpbrk(name, "\"\\") != NULL)
		return column->range;
	strlcpy(PM_FIELD(column, declaration), name, PM_NAME_LEN);
	return NULL;
}

static bool
ends_in_lone_backslash(const char *pattern)
{
	int			backslashes = 0;

	for (size_t i = strlen(pattern); i > 0 && pattern[i - 1] == '\\'; i--)
		backslashes++;
	return backslashes % 2 == 1;
}

/* A pattern of nothing but "%" has no say. */
const char *
pm_read_pattern(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	char	   *pattern = short_text(value, PM_PATTERN_LEN - 1);
	PmPattern  *to = PM_FIELD(column, declaration);

	if (pattern == NULL || ends_in_lone_backslash(pattern))
		return column->range;
	if (pattern[0] != '\0' && pattern[strspn(pattern, "%")] == '\0')
		return NULL;
	pm_pattern_set(to, pattern);
	return NULL;
}

/* application_name is kept in printable ASCII by the server. */
const char *
pm_read_ascii_pattern(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	char	   *pattern = short_text(value, PM_PATTERN_LEN - 1);

	if (pattern == NULL || !is_printable(pattern))
		return column->range;
	return pm_read_pattern(column, value, declaration);
}

const char *
pm_read_network(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	PmNetwork  *to = PM_FIELD(column, declaration);
	inet	   *network = DatumGetInetPP(value);
	bool		is_v4 = ip_family(network) == PGSQL_AF_INET;

	if (!is_v4 && ip_family(network) != PGSQL_AF_INET6)
		return column->range;
	if (ip_bits(network) > ip_maxbits(network))
		return column->range;
	to->limited = true;
	to->addr.family = is_v4 ? 4 : 6;
	memcpy(to->addr.bytes, ip_addr(network), is_v4 ? 4 : 16);
	to->bits = ip_bits(network);
	return NULL;
}

const char *
pm_read_int(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	int32		number = DatumGetInt32(value);

	if (number < column->least || number > column->most)
		return psprintf("%s, not %d", column->range, number);
	*(int *) PM_FIELD(column, declaration) = number;
	return NULL;
}

const char *
pm_read_bool(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	*(bool *) PM_FIELD(column, declaration) = DatumGetBool(value);
	return NULL;
}

/*
 * In us, as EXTRACT(EPOCH FROM interval) has it: a month has 30 days, a year 365.25.
 * False when it is not to be expressed so.
 */
bool
pm_interval_us(const Interval *interval, int64 *us)
{
	int64		quarters = interval->month / 12 * INT64CONST(1461) +
	(interval->month % 12 * INT64CONST(30) + interval->day) * 4;

	return !pg_mul_s64_overflow(quarters, USECS_PER_DAY / 4, us) &&
		!pg_add_s64_overflow(*us, interval->time, us);
}

/* As intervals are compared, where a year has 360 days: so the table's ranges go. */
static bool
interval_span(const Interval *interval, int64 *us)
{
	int64		days = interval->month * INT64CONST(30) + interval->day;

	return !pg_mul_s64_overflow(days, USECS_PER_DAY, us) &&
		!pg_add_s64_overflow(*us, interval->time, us);
}

const char *
pm_read_interval(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	const Interval *interval = DatumGetIntervalP(value);
	int64		span;
	int64		us;

	if (!interval_span(interval, &span) || !pm_interval_us(interval, &us) ||
		span < column->least || span > column->most || us < column->least)
		return column->range;
	*(int64 *) PM_FIELD(column, declaration) = us;
	return NULL;
}

const char *
pm_read_mode(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	const char *text = short_text(value, 16);
	const char *name;

	for (PmRecycleMode mode = 0; text != NULL && (name = pm_recycle_mode_name(mode)) != NULL; mode++)
	{
		if (strcmp(text, name) == 0)
		{
			*(PmRecycleMode *) PM_FIELD(column, declaration) = mode;
			return NULL;
		}
	}
	return column->range;
}

const char *
pm_read_guard(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	const char *text = short_text(value, 16);
	const char *name;

	for (PmGuardMode mode = 0; text != NULL && (name = pm_guard_mode_name(mode)) != NULL; mode++)
	{
		if (strcmp(text, name) == 0)
		{
			*(PmGuardMode *) PM_FIELD(column, declaration) = mode;
			return NULL;
		}
	}
	return column->range;
}

/*
 * Its time zone may have gone since it was declared, with the files of another
 * machine or version. Then the window is shut, and all else is in force.
 */
const char *
pm_read_window(const PmColumn *column, Datum value, PmDeclaration *declaration)
{
	PmWindow   *window = PM_FIELD(column, declaration);
	const char *text = short_text(value, PM_PATTERN_LEN);

	if (text == NULL)
		return column->range;
	if (pm_window_parse(text, window) == NULL)
		return NULL;
	declaration->zone_is_unknown = window->zone[0] != '\0';
	return declaration->zone_is_unknown ? NULL : column->range;
}

static const char *
read_null(const PmColumn *column, PmDeclaration *declaration)
{
	if (column->null == PM_NULL_REFUSED)
		return "must not be NULL";
	if (column->null == PM_NULL_NONE)
		memset(PM_FIELD(column, declaration), 0xFF, column->size);	/* -1, of any size */
	return NULL;
}

/* Returns what is wrong with the value, or NULL. */
const char *
pm_value_read(const PmColumn *column, Datum value, bool isnull, PmDeclaration *declaration)
{
	return isnull ? read_null(column, declaration) : column->read(column, value, declaration);
}

/* When columns act. */
bool
pm_is_true(const void *field)
{
	return *(const bool *) field;
}

bool
pm_is_terminate(const void *field)
{
	return *(const PmRecycleMode *) field == PM_RECYCLE_TERMINATE;
}

bool
pm_is_enforce(const void *field)
{
	return *(const PmGuardMode *) field == PM_GUARD_ENFORCE;
}
