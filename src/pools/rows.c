/*
 * rows.c
 *		Rows of pool_monitor.pools, value by value.
 *
 * The table's own constraints are there to tell whoever writes a row. Here none is
 * taken for granted: a superuser may have dropped them, with columns too, and what
 * is read goes into shared memory and is used with the server's own rights by every
 * backend. So each column must be there with its type, and each value be in its
 * range; base and ceiling are computed anew. What cannot be read is an ERROR that
 * names pool and column. The ranges are the table's, but for pool_recycle: what is
 * less than a second is no use to anybody but a test, and does no harm.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "pools/rows.h"
#include "pools/schedule.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

#define MOST_CONNECTIONS	262143	/* of any PostgreSQL server: MAX_BACKENDS */
#define MILLISECOND			INT64CONST(1000)
#define SECOND				USECS_PER_SEC
#define DAY					USECS_PER_DAY

typedef struct Column Column;

/* Reads a value that is not NULL; returns what is wrong with it, or NULL. */
typedef const char *(*Reader) (const Column *column, Datum value, PmDeclaration *declaration);

struct Column
{
	const char *name;
	Oid			type;
	const char *type_name;
	bool		nullable;
	Reader		read;
	size_t		offset;			/* in PmDeclaration */
	int64		least;
	int64		most;			/* us for an interval */
	const char *range;			/* in words, "must be ..." */
};

#define FIELD(type, declaration, offset) ((type *) ((char *) (declaration) + (offset)))

/* ---- values ---- */

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

static const char *
read_name(const Column *column, Datum value, PmDeclaration *declaration)
{
	char	   *name = short_text(value, PM_NAME_LEN - 1);

	if (name == NULL || name[0] == '\0' || name[0] == '(' || !is_printable(name))
		return column->range;
	strlcpy(declaration->pool.name, name, PM_NAME_LEN);
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

/* A pattern "%" has no say. */
static const char *
read_pattern(const Column *column, Datum value, PmDeclaration *declaration)
{
	char	   *pattern = short_text(value, PM_PATTERN_LEN - 1);
	PmPattern  *to = FIELD(PmPattern, declaration, column->offset);

	if (pattern == NULL || ends_in_lone_backslash(pattern))
		return column->range;
	if (strcmp(pattern, "%") == 0)
		return NULL;
	to->limited = true;
	strlcpy(to->like, pattern, PM_PATTERN_LEN);
	return NULL;
}

/* application_name is kept in printable ASCII by the server. */
static const char *
read_ascii_pattern(const Column *column, Datum value, PmDeclaration *declaration)
{
	char	   *pattern = short_text(value, PM_PATTERN_LEN - 1);

	if (pattern == NULL || !is_printable(pattern))
		return column->range;
	return read_pattern(column, value, declaration);
}

static const char *
read_network(const Column *column, Datum value, PmDeclaration *declaration)
{
	PmNetwork  *to = FIELD(PmNetwork, declaration, column->offset);
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

static const char *
read_int(const Column *column, Datum value, PmDeclaration *declaration)
{
	int32		number = DatumGetInt32(value);

	if (number < column->least || number > column->most)
		return psprintf("%s, not %d", column->range, number);
	*FIELD(int, declaration, column->offset) = number;
	return NULL;
}

static const char *
read_bool(const Column *column, Datum value, PmDeclaration *declaration)
{
	*FIELD(bool, declaration, column->offset) = DatumGetBool(value);
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

static const char *
read_interval(const Column *column, Datum value, PmDeclaration *declaration)
{
	const Interval *interval = DatumGetIntervalP(value);
	int64		span;
	int64		us;

	if (!interval_span(interval, &span) || !pm_interval_us(interval, &us) ||
		span < column->least || span > column->most || us < column->least)
		return column->range;
	*FIELD(int64, declaration, column->offset) = us;
	return NULL;
}

static const char *
read_mode(const Column *column, Datum value, PmDeclaration *declaration)
{
	const char *text = short_text(value, 16);
	const char *name;

	for (PmRecycleMode mode = 0; text != NULL && (name = pm_recycle_mode_name(mode)) != NULL; mode++)
	{
		if (strcmp(text, name) == 0)
		{
			*FIELD(PmRecycleMode, declaration, column->offset) = mode;
			return NULL;
		}
	}
	return column->range;
}

/*
 * Its time zone may have gone since it was declared, with the files of another
 * machine or version. Then the window is shut, and all else is in force.
 */
static const char *
read_window(const Column *column, Datum value, PmDeclaration *declaration)
{
	PmWindow   *window = &declaration->pool.recycle_window;
	const char *text = short_text(value, PM_PATTERN_LEN);

	if (text == NULL)
		return column->range;
	if (pm_window_parse(text, window) == NULL)
		return NULL;
	declaration->zone_is_unknown = window->zone[0] != '\0';
	return declaration->zone_is_unknown ? NULL : column->range;
}

/* ---- columns ---- */

#define IN_POOL(field) offsetof(PmDeclaration, pool.field)

/* The name comes first: messages about the others have it. */
static const Column columns_read[] =
{
	{"name", TEXTOID, "text", false, read_name,
	.range = "must be 1 to 63 printable ASCII characters, the first of them no parenthesis"},
	{"priority", INT4OID, "integer", false, read_int, offsetof(PmDeclaration, priority), 0, 1000000,
	"must be between 0 and 1000000"},
	{"application_name", TEXTOID, "text", true, read_ascii_pattern, IN_POOL(application_name),
	.range = "must be at most 255 printable ASCII characters, and not end in a lone backslash"},
	{"datname", TEXTOID, "text", true, read_pattern, IN_POOL(datname),
	.range = "must be at most 255 bytes, and not end in a lone backslash"},
	{"usename", TEXTOID, "text", true, read_pattern, IN_POOL(usename),
	.range = "must be at most 255 bytes, and not end in a lone backslash"},
	{"client_addr", CIDROID, "cidr", true, read_network, IN_POOL(client_addr),
	.range = "must be a network of IPv4 or IPv6"},
	{"servers", INT4OID, "integer", false, read_int, IN_POOL(servers), 1, 10000,
	"must be between 1 and 10000"},
	{"workers", INT4OID, "integer", false, read_int, IN_POOL(workers), 1, 10000,
	"must be between 1 and 10000"},
	{"pool_size", INT4OID, "integer", false, read_int, IN_POOL(pool_size), 0, 100000,
	"must be between 0 (unbounded) and 100000"},
	{"max_overflow", INT4OID, "integer", false, read_int, IN_POOL(max_overflow), -1, 100000,
	"must be between -1 (unbounded) and 100000"},
	{"pool_timeout", INTERVALOID, "interval", false, read_interval, IN_POOL(pool_timeout), 0, DAY,
	"must be between 0 and 1 day"},
	{"pool_recycle", INTERVALOID, "interval", true, read_interval, IN_POOL(pool_recycle), MILLISECOND, 365 * DAY,
	"must be NULL (never), or 1 ms to 365 days"},
	{"idle_limit", INTERVALOID, "interval", false, read_interval, IN_POOL(idle_limit), SECOND, 365 * DAY,
	"must be between 1 second and 365 days"},
	{"leak_threshold", INTERVALOID, "interval", false, read_interval, IN_POOL(leak_threshold), SECOND, 365 * DAY,
	"must be between 1 second and 365 days"},
	{"recycle_grace", INTERVALOID, "interval", false, read_interval, IN_POOL(recycle_grace), 0, DAY,
	"must be between 0 and 1 day"},
	{"budget", INT4OID, "integer", true, read_int, IN_POOL(budget), 1, MOST_CONNECTIONS,
	"must be NULL (the ceiling), or 1 to 262143"},
	{"recycle_mode", TEXTOID, "text", false, read_mode, IN_POOL(recycle_mode),
	.range = "must be off, report or terminate"},
	{"recycle_window", TEXTOID, "text", true, read_window,
	.range = "must be NULL, or as 22:00-06:00 Europe/Berlin"},
	{"shrink_idle", BOOLOID, "boolean", false, read_bool, IN_POOL(shrink_idle)},
	{"pre_ping", BOOLOID, "boolean", false, read_bool, IN_POOL(pre_ping)},
	{"echo_pool", BOOLOID, "boolean", false, read_bool, IN_POOL(echo)},
};

StaticAssertDecl(lengthof(columns_read) == PM_NUM_COLUMNS, "PM_NUM_COLUMNS does not fit columns_read");

static AttrNumber
find_column(TupleDesc desc, const Column *column)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), column->name) != 0)
			continue;
		if (attribute->atttypid != column->type)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" of pool_monitor.pools is not of type %s", column->name, column->type_name)));

		/*
		 * from 18 on it may be computed by whoever reads it, and have no
		 * value
		 */
		if (attribute->attgenerated != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" of pool_monitor.pools is a generated column", column->name)));
		return attribute->attnum;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("column \"%s\" of pool_monitor.pools is missing", column->name)));
}

/* desc must stay as long as columns is used. */
void
pm_columns_find(PmColumns *columns, TupleDesc desc)
{
	columns->desc = desc;
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
		columns->at[i] = find_column(desc, &columns_read[i]);
}

/* ---- rows ---- */

static void
fail(const PmDeclaration *declaration, const char *column, const char *why)
{
	if (declaration->pool.name[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("pool \"%s\": column \"%s\" %s", declaration->pool.name, column, why)));
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("a row of pool_monitor.pools: column \"%s\" %s", column, why)));
}

/* What follows from the others. As base and ceiling in the table. */
static void
compute(PmDeclaration *declaration)
{
	PmPool	   *pool = &declaration->pool;
	int64		processes = (int64) pool->servers * pool->workers;
	int64		most = processes * ((int64) pool->pool_size + Max(pool->max_overflow, 0));

	if (processes * pool->pool_size > MOST_CONNECTIONS)
		fail(declaration, "pool_size", "times servers * workers must be at most 262143");
	pool->base = processes * pool->pool_size;
	pool->grows_from_zero = pool->pool_size == 0;
	if (pool->pool_size == 0 || pool->max_overflow == -1)
		pool->ceiling = -1;
	else if (most > MOST_CONNECTIONS)
		fail(declaration, "max_overflow", "and pool_size, times servers * workers, must be at most 262143");
	else
		pool->ceiling = most;
	if (pool->budget < 0)
		pool->budget = pool->ceiling;
}

void
pm_row_read(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration)
{
	memset(declaration, 0, sizeof(*declaration));
	declaration->pool.pool_recycle = -1;
	declaration->pool.budget = -1;

	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		const Column *column = &columns_read[i];
		bool		isnull;
		Datum		value = heap_getattr(tuple, columns->at[i], columns->desc, &isnull);
		const char *wrong = NULL;

		if (!isnull)
			wrong = column->read(column, value, declaration);
		else if (!column->nullable)
			wrong = "must not be NULL";
		if (wrong != NULL)
			fail(declaration, column->name, wrong);
	}
	compute(declaration);
}

static bool
is_read(const char *name)
{
	for (int i = 0; i < PM_NUM_COLUMNS; i++)
	{
		if (strcmp(columns_read[i].name, name) == 0)
			return true;
	}
	return false;
}

/* Have both the same in all columns that are read, byte for byte? Raises nothing. */
bool
pm_rows_alike(TupleDesc desc, HeapTuple a, HeapTuple b)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		bool		a_null;
		bool		b_null;
		Datum		a_value;
		Datum		b_value;

		if (attribute->attisdropped || !is_read(NameStr(attribute->attname)))
			continue;
		a_value = heap_getattr(a, attribute->attnum, desc, &a_null);
		b_value = heap_getattr(b, attribute->attnum, desc, &b_null);
		if (a_null != b_null ||
			(!a_null && !datumIsEqual(a_value, b_value, attribute->attbyval, attribute->attlen)))
			return false;
	}
	return true;
}

/* The order in which declarations are matched. */
int
pm_declaration_compare(const PmDeclaration *a, const PmDeclaration *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return strcmp(a->pool.name, b->pool.name);
}

/* May it end sessions, or will it as soon as recycle_mode says so? */
bool
pm_declaration_acts(const PmDeclaration *declaration)
{
	return declaration->pool.recycle_mode == PM_RECYCLE_TERMINATE || declaration->pool.shrink_idle;
}

/* Do both take the same sessions, from the same place in the order? */
bool
pm_declaration_matches_alike(const PmDeclaration *a, const PmDeclaration *b)
{
	const PmPool *p = &a->pool;
	const PmPool *q = &b->pool;

	return pm_declaration_compare(a, b) == 0 &&
		memcmp(&p->application_name, &q->application_name, sizeof(PmPattern)) == 0 &&
		memcmp(&p->datname, &q->datname, sizeof(PmPattern)) == 0 &&
		memcmp(&p->usename, &q->usename, sizeof(PmPattern)) == 0 &&
		memcmp(&p->client_addr, &q->client_addr, sizeof(PmNetwork)) == 0;
}
