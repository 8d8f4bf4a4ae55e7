/*
 * statformat.h
 *		The layout of the file of statistics, for those who write and read it.
 *
 * A PmFileHeader, then a body of records, each a PmRecordHeader and its data, in the
 * machine's own byte order. Header and body have a CRC.
 *
 * The body says itself how it is to be read. It begins with records of kind 0, each of
 * which describes a layout: its name, and the name, type and place of each field of a
 * row. All other records are rows of one layout, whose number in the file is the
 * record's kind. So counters, reasons and fields go by their names, and their order and
 * width are the file's own: a file of an older or newer state is read as far as both know
 * it. PM_STATFILE_FORMAT moves only when that frame does.
 *
 * Rows belong together by their order:
 *
 *		account, lifetime*, hold*, setup*	what was counted, and how often how long
 *		ring, start*, (series, bucket*)*	a bucket for each start
 *		event
 */
#ifndef PM_STATFORMAT_H
#define PM_STATFORMAT_H

#include "base/identity.h"
#include "port/pg_crc32c.h"

/* In the data directory. */
#define PM_STATFOLDER	"pg_stat"
#define PM_STATFILE		PM_STATFOLDER "/pool_monitor.stat"
#define PM_STATFILE_NEW PM_STATFILE ".tmp"
#define PM_STATFILE_BAD PM_STATFILE ".bad"

#define PM_STATFILE_MAGIC		UINT64CONST(0x504D535432363131) /* "PMST2611" */
#define PM_STATFILE_FORMAT		5

/* After so many events the file is written before its time. */
#define PM_EVENTS_UNSAVED		5000

typedef struct PmFileHeader
{
	uint64		magic;
	uint32		format;
	uint32		major;			/* of PostgreSQL */
	uint64		system_identifier;
	uint64		inode;			/* of PG_VERSION */
	int64		saved_at;		/* TimestampTz */
	uint64		last_event;		/* its sequence number */
	uint64		body_length;
	uint32		body_crc;
	uint32		complete;		/* 1: written when the server had shut down */
	uint32		header_length;
	uint32		crc;			/* of all before it */
} PmFileHeader;

/* kind: 0, a PmLayoutRecord and its fields; n: rows of the nth of these */
typedef struct PmRecordHeader
{
	uint32		kind;
	uint32		length;			/* of what follows */
} PmRecordHeader;

#define PM_FIELD_NAME_LEN	64

typedef struct PmLayoutRecord
{
	char		name[PM_FIELD_NAME_LEN];
	uint32		row_length;
	uint32		nfields;		/* that follow */
} PmLayoutRecord;

/* What a field holds; the numbers are in files. */
typedef enum PmFieldType
{
	PM_FIELD_INT = 1,			/* signed, of 1, 2, 4 or 8 bytes */
	PM_FIELD_UINT = 2,			/* the same without sign */
	PM_FIELD_REAL = 3,			/* double */
	PM_FIELD_TEXT = 4			/* ends in a zero */
} PmFieldType;

typedef struct PmFieldRecord
{
	char		name[PM_FIELD_NAME_LEN];
	uint32		type;
	uint32		offset;			/* in the row */
	uint32		length;
} PmFieldRecord;

/* ---- what this state of the library writes, and knows how to read ---- */

typedef struct PmField
{
	const char *name;
	PmFieldType type;
	uint32		offset;
	uint32		length;
} PmField;

#define PM_ROW_FIELD(row, type, name, member) \
	{name, PM_FIELD_##type, offsetof(row, member), sizeof(((row *) 0)->member)}

typedef struct PmLayout
{
	const char *name;
	uint32		row_length;
	int			nfields;
	const PmField *fields;
} PmLayout;

#define PM_MOST_FIELDS	128

/* Those of a whole file. */
#define PM_MOST_LAYOUTS 16

typedef struct PmLayouts
{
	int			n;
	const PmLayout *const *of;
} PmLayouts;

/* ---- writing ---- */

typedef struct PmWriter
{
	FILE	   *file;
	const PmLayouts *layouts;
	bool		ok;				/* nothing has failed yet */
	bool		lock;			/* others are still there */
	uint64		length;
	pg_crc32c	crc;
} PmWriter;

extern void pm_put_bytes(PmWriter *writer, const void *data, size_t length);
extern void pm_put_layouts(PmWriter *writer);
extern void pm_put_rows(PmWriter *writer, const PmLayout *layout, const void *rows, size_t n);
extern void pm_put_rows_begin(PmWriter *writer, const PmLayout *layout, size_t n);

extern uint64 pm_server_inode(void);
extern uint32 pm_crc_of(const void *data, size_t length);
extern bool pm_move_file(const char *from, const char *to);
extern bool pm_printable(const char *name, size_t length);
extern bool pm_owner_can_be_shown(const PmOwner *owner);

#endif							/* PM_STATFORMAT_H */
