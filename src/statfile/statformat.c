/*
 * statformat.c
 *		Writes rows with a description of themselves; see statformat.h. No allocation
 *		and no error: see statfile.c.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "statfile/statformat.h"
#include "storage/fd.h"

uint64
pm_server_inode(void)
{
	struct stat st;

	return stat("PG_VERSION", &st) == 0 ? (uint64) st.st_ino : 0;
}

uint32
pm_crc_of(const void *data, size_t length)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, length);
	FIN_CRC32C(crc);
	return crc;
}

/* As durable_rename(), of a file that is on disk; but it says nothing itself. */
bool
pm_move_file(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return false;
	(void) fsync_fname_ext(PM_STATFOLDER, true, true, LOG);
	return true;
}

/* Is it a text of printable ASCII that ends within so many bytes? */
bool
pm_printable(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (name[i] == '\0')
			return true;
		if (name[i] < ' ' || name[i] > '~')
			return false;
	}
	return false;
}

/* A client's names may be of any bytes, which the views know; a pool's are shown as they are. */
bool
pm_owner_can_be_shown(const PmOwner *owner)
{
	return owner->discovered || pm_printable(owner->name, PM_NAME_LEN);
}

/* ---- writing ---- */

void
pm_put_bytes(PmWriter *writer, const void *data, size_t length)
{
	if (!writer->ok || length == 0)
		return;
	writer->ok = fwrite(data, length, 1, writer->file) == 1;
	COMP_CRC32C(writer->crc, data, length);
	writer->length += length;
}

static void
put_header(PmWriter *writer, uint32 kind, size_t length)
{
	PmRecordHeader header = {.kind = kind,.length = length};

	pm_put_bytes(writer, &header, sizeof(header));
}

static void
put_field(PmWriter *writer, const PmField *field)
{
	PmFieldRecord record = {.type = field->type,.offset = field->offset,.length = field->length};

	strlcpy(record.name, field->name, PM_FIELD_NAME_LEN);
	pm_put_bytes(writer, &record, sizeof(record));
}

void
pm_put_layouts(PmWriter *writer)
{
	for (int i = 0; i < writer->layouts->n; i++)
	{
		const PmLayout *layout = writer->layouts->of[i];
		PmLayoutRecord record = {.row_length = layout->row_length,.nfields = layout->nfields};

		Assert(layout->nfields <= PM_MOST_FIELDS);
		strlcpy(record.name, layout->name, PM_FIELD_NAME_LEN);
		put_header(writer, 0, sizeof(record) + layout->nfields * sizeof(PmFieldRecord));
		pm_put_bytes(writer, &record, sizeof(record));
		for (int f = 0; f < layout->nfields; f++)
			put_field(writer, &layout->fields[f]);
	}
}

/* The caller puts so many rows after it. The layout is one of the writer's. */
void
pm_put_rows_begin(PmWriter *writer, const PmLayout *layout, size_t n)
{
	int			kind = 1;

	while (kind < writer->layouts->n && writer->layouts->of[kind - 1] != layout)
		kind++;
	Assert(writer->layouts->of[kind - 1] == layout);
	put_header(writer, kind, n * layout->row_length);
}

void
pm_put_rows(PmWriter *writer, const PmLayout *layout, const void *rows, size_t n)
{
	pm_put_rows_begin(writer, layout, n);
	pm_put_bytes(writer, rows, n * layout->row_length);
}
