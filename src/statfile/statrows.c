/*
 * statrows.c
 *		Reads rows by the description that comes with them; see statformat.h.
 *
 * No allocation and no error: see statfile.c. What is read was not damaged on its way, by
 * its CRC, but it may have been written by a library that is not known here: so its
 * lengths and places are not trusted.
 */
#include "postgres.h"

#include "statfile/statrows.h"

typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

/* ---- what is not known ---- */

static char left_out[512];

const char *
pm_left_out(void)
{
	return left_out;
}

/* Each thing once, as far as there is room. Both are printable ASCII. */
void
pm_leave_out(const char *what, const char *name)
{
	char		text[2 * PM_FIELD_NAME_LEN + 8];
	size_t		length = strlen(left_out);

	snprintf(text, sizeof(text), "%s %s", what, name);
	if (strstr(left_out, text) != NULL)
		return;
	if (length + strlen(text) + 8 < sizeof(left_out))
		snprintf(left_out + length, sizeof(left_out) - length, "%s%s", length > 0 ? ", " : "", text);
	else if (strstr(left_out, "...") == NULL)
		snprintf(left_out + length, sizeof(left_out) - length, ", ...");
}

/* ---- reading: from the file's layouts to ours ---- */

#define MOST_IN_FILE	64		/* layouts */

/* Where the file has a field of ours. */
typedef struct Source
{
	bool		there;
	PmFieldRecord field;
} Source;

/* How the file has a layout of ours. */
typedef struct Mapping
{
	bool		there;
	uint32		row_length;
	Source		sources[PM_MOST_FIELDS];	/* of our fields */
} Mapping;

/* Of the file that is being read; the worker's. */
static const PmLayouts *known;
static Mapping mappings[PM_MOST_LAYOUTS];	/* of known */
static int	ours[MOST_IN_FILE]; /* index in these; -1: none */
static uint32 row_lengths[MOST_IN_FILE];
static uint32 nlayouts;			/* of the file, until now */

/* The next length bytes, NULL when there are not so many. */
static const void *
take(Reader *reader, uint64 length)
{
	const char *at = reader->at;

	if ((uint64) (reader->end - at) < length)
		return NULL;
	reader->at += length;
	return at;
}

static bool
is_number(uint32 type)
{
	return type == PM_FIELD_INT || type == PM_FIELD_UINT;
}

static bool
field_makes_sense(const PmFieldRecord *field, uint32 row_length)
{
	if (!pm_printable(field->name, PM_FIELD_NAME_LEN) || field->name[0] == '\0' ||
		field->length == 0 || field->offset > row_length || field->length > row_length - field->offset)
		return false;
	if (is_number(field->type))
		return field->length == 1 || field->length == 2 || field->length == 4 || field->length == 8;
	return field->type != PM_FIELD_REAL || field->length == sizeof(double);
}

/* Which of our fields it is, -1: none. */
static int
known_field(const PmLayout *layout, const PmFieldRecord *field)
{
	for (int i = 0; i < layout->nfields; i++)
	{
		const PmField *our = &layout->fields[i];

		if (strcmp(our->name, field->name) == 0 &&
			(our->type == field->type || (is_number(our->type) && is_number(field->type))))
			return i;
	}
	return -1;
}

/* False when the file has it twice. */
static bool
map_field(int layout, const PmFieldRecord *field)
{
	char		name[2 * PM_FIELD_NAME_LEN];
	int			i = known_field(known->of[layout], field);

	if (i < 0)
	{
		snprintf(name, sizeof(name), "\"%s.%s\"", known->of[layout]->name, field->name);
		pm_leave_out("field", name);
		return true;
	}
	if (mappings[layout].sources[i].there)
		return false;
	mappings[layout].sources[i] = (Source)
	{
		.there = true,.field = *field
	};
	return true;
}

static int
known_layout(const char *name)
{
	for (int i = 0; i < known->n; i++)
	{
		if (strcmp(known->of[i]->name, name) == 0)
			return i;
	}
	return -1;
}

static bool
read_fields(Reader *reader, const PmLayoutRecord *layout, int our)
{
	for (uint32 i = 0; i < layout->nfields; i++)
	{
		const void *at = take(reader, sizeof(PmFieldRecord));
		PmFieldRecord field;

		if (at == NULL)
			return false;
		memcpy(&field, at, sizeof(field));
		if (!field_makes_sense(&field, layout->row_length) || (our >= 0 && !map_field(our, &field)))
			return false;
	}
	return reader->at == reader->end;
}

static bool
read_layout(Reader *reader)
{
	const void *at = take(reader, sizeof(PmLayoutRecord));
	PmLayoutRecord layout;
	char		name[PM_FIELD_NAME_LEN + 2];
	int			our;

	if (at == NULL || nlayouts >= MOST_IN_FILE)
		return false;
	memcpy(&layout, at, sizeof(layout));
	if (!pm_printable(layout.name, PM_FIELD_NAME_LEN) || layout.row_length == 0)
		return false;
	our = known_layout(layout.name);
	if (our >= 0 && mappings[our].there)
		return false;
	if (our >= 0)
	{
		mappings[our].there = true;
		mappings[our].row_length = layout.row_length;
	}
	else
	{
		snprintf(name, sizeof(name), "\"%s\"", layout.name);
		pm_leave_out("rows", name);
	}
	ours[nlayouts] = our;
	row_lengths[nlayouts++] = layout.row_length;
	return read_fields(reader, &layout, our);
}

static bool
read_rows(uint32 kind, const Reader *record, PmRowsUser user, bool dry)
{
	uint64		length = record->end - record->at;
	PmRows		rows;

	if (kind > nlayouts || length % row_lengths[kind - 1] != 0)
		return false;
	if (ours[kind - 1] < 0)
		return true;
	rows.mapping = ours[kind - 1];
	rows.layout = known->of[rows.mapping];
	rows.at = record->at;
	rows.n = length / row_lengths[kind - 1];
	return user(&rows, dry);
}

/*
 * Hands all rows of ours to the user, in order. False when the body makes no sense, to us
 * or to him.
 */
bool
pm_read_body(const char *body, uint64 length, const PmLayouts *layouts, PmRowsUser user, bool dry)
{
	Reader		reader = {.at = body,.end = body + length};

	known = layouts;
	memset(mappings, 0, sizeof(mappings));
	nlayouts = 0;
	left_out[0] = '\0';
	while (reader.at < reader.end)
	{
		const void *at = take(&reader, sizeof(PmRecordHeader));
		PmRecordHeader header;
		Reader		record;

		if (at == NULL)
			return false;
		memcpy(&header, at, sizeof(header));
		record.at = take(&reader, header.length);
		if (record.at == NULL)
			return false;
		record.end = record.at + header.length;
		if (!(header.kind == 0 ? read_layout(&record) : read_rows(header.kind, &record, user, dry)))
			return false;
	}
	return user(NULL, dry);
}

/* ---- reading: a row ---- */

/* What is above the range of int64 becomes its end. */
static int64
read_number(const char *at, const PmFieldRecord *field)
{
	uint64		value = 0;
	int			unused = 64 - 8 * (int) field->length;

#ifdef WORDS_BIGENDIAN
	memcpy((char *) &value + sizeof(value) - field->length, at, field->length);
#else
	memcpy(&value, at, field->length);
#endif
	if (field->type == PM_FIELD_INT)
		return (int64) (value << unused) >> unused;
	return value > PG_INT64_MAX ? PG_INT64_MAX : (int64) value;
}

/* What does not fit becomes the nearest number that does. */
static void
write_number(char *to, const PmField *field, int64 value)
{
	int			bits = 8 * (int) field->length - (field->type == PM_FIELD_INT);
	int64		max = bits >= 63 ? PG_INT64_MAX : (INT64CONST(1) << bits) - 1;
	int64		min = field->type == PM_FIELD_UINT ? 0 : -max - 1;

	value = Max(Min(value, max), min);
#ifdef WORDS_BIGENDIAN
	memcpy(to, (char *) &value + sizeof(value) - field->length, field->length);
#else
	memcpy(to, &value, field->length);
#endif
}

/* False when it does not fit: cut, it would be another name. */
static bool
read_text(char *to, const PmField *field, const char *at, uint32 length)
{
	size_t		used = strnlen(at, length);

	if (used >= field->length)
		return false;
	memset(to, 0, field->length);
	memcpy(to, at, used);
	return true;
}

static bool
read_field(char *row, const PmField *field, const char *at, const PmFieldRecord *source)
{
	char	   *to = row + field->offset;

	at += source->offset;
	if (field->type == PM_FIELD_TEXT)
		return read_text(to, field, at, source->length);
	if (field->type == source->type && field->length == source->length)
		memcpy(to, at, field->length);
	else
		write_number(to, field, read_number(at, source));
	return true;
}

/* Does the file have that field of ours, without which a row is nobody's? */
bool
pm_rows_have(const PmRows *rows, const char *field)
{
	for (int i = 0; i < rows->layout->nfields; i++)
	{
		if (strcmp(rows->layout->fields[i].name, field) == 0)
			return mappings[rows->mapping].sources[i].there;
	}
	return false;
}

/*
 * The nth row, into one of ours, where what the file does not have stays as it is. False
 * when a text does not fit: then that is as it was, too.
 */
bool
pm_read_row(const PmRows *rows, uint32 n, void *row)
{
	const PmLayout *layout = rows->layout;
	const Mapping *mapping = &mappings[rows->mapping];
	const char *at = rows->at + (size_t) n * mapping->row_length;
	bool		fits = true;

	for (int i = 0; i < layout->nfields; i++)
	{
		if (mapping->sources[i].there)
			fits &= read_field(row, &layout->fields[i], at, &mapping->sources[i].field);
	}
	return fits;
}
