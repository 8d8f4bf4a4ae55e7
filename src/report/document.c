/*
 * document.c
 *		Reading the document of a report. What is not there, or is of another kind, is none.
 *
 * The document may be of another server, or another version, or written by hand: nothing of
 * it is taken for granted. A time or a number that is none is an error as any other.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "report/document.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MOST_DIGITS	400

/* ---- values ---- */

static double
number_of(const JsonbValue * value)
{
	if (value == NULL || value->type != jbvNumeric)
		return NAN;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
}

/* A few bytes of the document may have 100,000 digits. */
static char *
digits_of(const JsonbValue * value)
{
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));

	if (strlen(digits) <= MOST_DIGITS)
		return digits;
	pfree(digits);
	return psprintf("%g", number_of(value));
}

static char *
text_of(const JsonbValue * value)
{
	if (value == NULL)
		return NULL;
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return digits_of(value);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

static PmDoc
container_of(const JsonbValue * value)
{
	return value != NULL && value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* ---- objects ---- */

static JsonbValue *
value_at(PmDoc object, const char *key)
{
	if (object == NULL || !JsonContainerIsObject(object))
		return NULL;
	return getKeyJsonValueFromContainer(object, key, strlen(key), NULL);
}

PmDoc
pm_doc_at(PmDoc object, const char *key)
{
	return container_of(value_at(object, key));
}

/* NULL: none. Of a number its digits. */
char *
pm_doc_text(PmDoc object, const char *key)
{
	return text_of(value_at(object, key));
}

/* NaN: none. */
double
pm_doc_number(PmDoc object, const char *key)
{
	return number_of(value_at(object, key));
}

/* 0: none. */
TimestampTz
pm_doc_time(PmDoc object, const char *key)
{
	char	   *text = pm_doc_text(object, key);
	TimestampTz at;

	if (text == NULL)
		return 0;
	at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
												 Int32GetDatum(-1)));
	return TIMESTAMP_NOT_FINITE(at) ? 0 : at;
}

/* Of an interval; NaN: none. */
double
pm_doc_seconds(PmDoc object, const char *key)
{
	char	   *text = pm_doc_text(object, key);
	Interval   *interval;

	if (text == NULL)
		return NAN;
	interval = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
	return interval->time / 1000000.0 + interval->day * (double) SECS_PER_DAY +
		interval->month * (double) DAYS_PER_MONTH * SECS_PER_DAY;
}

int
pm_doc_size(PmDoc object)
{
	return object != NULL && JsonContainerIsObject(object) ? JsonContainerSize(object) : 0;
}

/* The ith key of an object, and what is there if that is an object or an array itself. */
PmDoc
pm_doc_object(PmDoc object, int i, char **key)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;

	*key = NULL;
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && i-- == 0)
		{
			*key = pnstrdup(value.val.string.val, value.val.string.len);
			break;
		}
	}
	return *key != NULL ? pm_doc_at(object, *key) : NULL;
}

/* ---- arrays ---- */

int
pm_doc_length(PmDoc array)
{
	return array != NULL && JsonContainerIsArray(array) ? JsonContainerSize(array) : 0;
}

static JsonbValue *
item(PmDoc array, int i)
{
	CHECK_FOR_INTERRUPTS();
	return i < pm_doc_length(array) ? getIthJsonbValueFromContainer(array, i) : NULL;
}

PmDoc
pm_doc_item(PmDoc array, int i)
{
	return container_of(item(array, i));
}

double
pm_doc_item_number(PmDoc array, int i)
{
	return number_of(item(array, i));
}

char *
pm_doc_item_text(PmDoc array, int i)
{
	return text_of(item(array, i));
}

/* ---- one item after the other ---- */

void
pm_scratch_begin(PmScratch *scratch)
{
	scratch->own = AllocSetContextCreate(CurrentMemoryContext, "pool_monitor report item", ALLOCSET_DEFAULT_SIZES);
	scratch->outer = MemoryContextSwitchTo(scratch->own);
}

void
pm_scratch_next(PmScratch *scratch)
{
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(scratch->own);
}

void
pm_scratch_end(PmScratch *scratch)
{
	MemoryContextSwitchTo(scratch->outer);
	MemoryContextDelete(scratch->own);
}
