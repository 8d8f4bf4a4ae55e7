/*
 * statformat.h
 *		The layout of the file of statistics, for those who write and read it.
 *
 * A PmFileHeader, then a body of records, each a PmRecordHeader and its data, in
 * the machine's own byte order. Both have a CRC.
 */
#ifndef PM_STATFORMAT_H
#define PM_STATFORMAT_H

#include "accounts/counters.h"
#include "base/identity.h"
#include "base/reason.h"

/* In the data directory. */
#define PM_STATFOLDER	"pg_stat"
#define PM_STATFILE		PM_STATFOLDER "/pool_monitor.stat"
#define PM_STATFILE_NEW PM_STATFILE ".tmp"
#define PM_STATFILE_BAD PM_STATFILE ".bad"

#define PM_STATFILE_MAGIC		UINT64CONST(0x504D535432363131) /* "PMST2611" */
/* moves when a record's layout does */
#define PM_STATFILE_FORMAT		4

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
	uint32		lists;			/* pm_lists_crc() */
	uint32		crc;			/* of all before it */
} PmFileHeader;

typedef enum PmRecordKind
{
	PM_RECORD_ACCOUNT,			/* PmAccountRecord, then pairs of buckets */
	PM_RECORD_RING,				/* PmRingRecord, then the starts */
	PM_RECORD_SERIES,			/* PmSeriesRecord, then one PmBucket a start */
	PM_RECORD_EVENT				/* a PmEvent */
} PmRecordKind;

typedef struct PmRecordHeader
{
	uint32		kind;
	uint32		length;			/* of what follows */
} PmRecordHeader;

typedef struct PmAccountRecord
{
	char		name[PM_NAME_LEN];
	uint32		is_application;
	uint32		peak;
	int64		peak_at;
	uint64		counters[PM_NUM_COUNTERS];
	uint64		declines[PM_NUM_REASONS];
	int64		busy;
	int64		observed;
	uint64		not_in_history[PM_NUM_KEPT];
	int64		stats_reset;
	int64		lifetime_max;
	int64		hold_max;
	uint32		nlifetimes;		/* pairs that follow, first these */
	uint32		nholds;
} PmAccountRecord;

typedef struct PmBucketPair
{
	uint64		bucket;
	uint64		count;
} PmBucketPair;

typedef struct PmRingRecord
{
	uint32		ring;
	uint32		count;
} PmRingRecord;

typedef struct PmSeriesRecord
{
	char		name[PM_NAME_LEN];
	uint32		ring;
	uint32		count;
} PmSeriesRecord;

extern uint64 pm_server_inode(void);

/* Of the names that records go by, in order, and the sizes of what they hold. */
extern uint32 pm_lists_crc(void);
extern uint32 pm_crc_of(const void *data, size_t length);
extern bool pm_move_file(const char *from, const char *to);

#endif							/* PM_STATFORMAT_H */
