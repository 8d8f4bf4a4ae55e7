/*
 * statfile.c
 *		Writes counters, peaks, history and events to a file, and reads them
 *		back.
 *
 * Written by the worker every save_interval, and by the postmaster when the
 * server has shut down in good order, which is what pg_control says then: all
 * sessions have ended and nothing is missing. Read by the worker, once after each start of the server, and added
 * to what was counted since. The file says whether the shutdown was such: if
 * not, what happened after it was written is lost, and an event says so.
 *
 * Format: a Header, then a body of records, each a RecordHeader and its data, in
 * the machine's own byte order. Both have a CRC. A file is used as a whole or
 * set aside as a whole, under the name PM_STATFILE ".bad", with one WARNING: when
 * it is damaged, of another format or PostgreSQL major, or another server's. A
 * copy of a data directory (a standby made by pg_basebackup) has the system
 * identifier of the original, but not the inode of its PG_VERSION file: so the
 * file belongs to the pair of both.
 *
 * Writing: to a file beside, fsync, rename. When that fails (the disk is full)
 * the former file stays, and the server log says so, once until it works again.
 *
 * Nothing here raises an error: in the postmaster there is nobody to catch it,
 * and in the worker it would begin a circle of restarts.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "clock.h"
#include "events.h"
#include "guc.h"
#include "ledger.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "shmem.h"
#include "statfile.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define FOLDER		"pg_stat"
#define TEMPORARY	PM_STATFILE ".tmp"
#define SET_ASIDE	PM_STATFILE ".bad"

/* More events than anybody records between saving and a crash. */
#define EVENTS_LOST	10000

#define MAGIC		UINT64CONST(0x504D535432363131) /* "PMST2611" */
#define FORMAT		1			/* moves when a record's layout does */

typedef struct Header
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
	uint32		unused;
	uint32		crc;			/* of all before it */
} Header;

typedef enum RecordKind
{
	RECORD_ACCOUNT,				/* AccountRecord, then pairs of buckets */
	RECORD_RING,				/* RingRecord, then the starts */
	RECORD_SERIES,				/* SeriesRecord, then one PmBucket a start */
	RECORD_EVENT				/* a PmEvent */
} RecordKind;

typedef struct RecordHeader
{
	uint32		kind;
	uint32		length;			/* of what follows */
} RecordHeader;

typedef struct AccountRecord
{
	char		name[PM_NAME_LEN];
	uint32		is_application;
	uint32		peak;
	int64		peak_at;
	uint64		counters[PM_NUM_COUNTERS];
	int64		busy;
	int64		observed;
	uint64		not_in_history[PM_NUM_KEPT];
	int64		stats_reset;
	int64		lifetime_max;
	int64		hold_max;
	uint32		nlifetimes;		/* pairs that follow, first these */
	uint32		nholds;
} AccountRecord;

typedef struct BucketPair
{
	uint64		bucket;
	uint64		count;
} BucketPair;

typedef struct RingRecord
{
	uint32		ring;
	uint32		count;
} RingRecord;

typedef struct SeriesRecord
{
	char		name[PM_NAME_LEN];
	uint32		ring;
	uint32		count;
} SeriesRecord;

static uint64
inode_of_server(void)
{
	struct stat st;

	return stat("PG_VERSION", &st) == 0 ? (uint64) st.st_ino : 0;
}

static uint32
crc_of(const void *data, size_t length)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, length);
	FIN_CRC32C(crc);
	return crc;
}

/* ---- writing ---- */

typedef struct Writer
{
	FILE	   *file;
	bool		ok;				/* nothing has failed yet */
	bool		lock;			/* others are still there */
	uint64		length;
	pg_crc32c	crc;
} Writer;

static void
put(Writer *writer, const void *data, size_t length)
{
	if (!writer->ok || length == 0)
		return;
	writer->ok = fwrite(data, length, 1, writer->file) == 1;
	COMP_CRC32C(writer->crc, data, length);
	writer->length += length;
}

static void
put_record(Writer *writer, RecordKind kind, const void *data, size_t length, size_t more)
{
	RecordHeader header = {.kind = kind,.length = length + more};

	put(writer, &header, sizeof(header));
	put(writer, data, length);
}

static uint32
count_buckets(const uint64 *counts)
{
	uint32		n = 0;

	for (int i = 0; i < PM_BUCKETS; i++)
		n += counts[i] != 0;
	return n;
}

static void
put_buckets(Writer *writer, const uint64 *counts)
{
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		BucketPair	pair = {.bucket = i,.count = counts[i]};

		if (counts[i] != 0)
			put(writer, &pair, sizeof(pair));
	}
}

static void
put_account(Writer *writer, int account)
{
	static PmFigures figures;	/* too large for a stack, and no palloc here */
	AccountRecord record = {0};

	if (!pm_account_figures(account, &figures, writer->lock))
		return;
	strlcpy(record.name, figures.name, PM_NAME_LEN);
	record.is_application = account >= pm_first_application() && account < pm_other_account();
	record.peak = figures.peak;
	record.peak_at = figures.peak_at;
	memcpy(record.counters, figures.counters, sizeof(record.counters));
	record.busy = figures.busy;
	record.observed = figures.observed;
	memcpy(record.not_in_history, figures.not_in_history, sizeof(record.not_in_history));
	record.stats_reset = figures.stats_reset;
	record.lifetime_max = figures.lifetime_max;
	record.hold_max = figures.hold_max;
	record.nlifetimes = count_buckets(figures.lifetimes);
	record.nholds = count_buckets(figures.holds);
	put_record(writer, RECORD_ACCOUNT, &record, sizeof(record),
			   (record.nlifetimes + record.nholds) * sizeof(BucketPair));
	put_buckets(writer, figures.lifetimes);
	put_buckets(writer, figures.holds);
}

/*
 * First those of the pools in force, in matching order: where there is less room
 * when they are read, these find a place.
 */
static void
put_accounts(Writer *writer)
{
	static int	pools[PM_MOST_POOLS];
	int			npools;
	const PmRuleSet *set;

	if (writer->lock)
		LWLockAcquire(pm_shared->lock, LW_SHARED);
	set = pm_rules_in_force();
	npools = set->npools;
	memcpy(pools, set->accounts, npools * sizeof(int));
	if (writer->lock)
		LWLockRelease(pm_shared->lock);

	for (int i = 0; i < npools; i++)
	{
		if (pools[i] < pm_first_application())
			put_account(writer, pools[i]);
	}
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		bool		written = false;

		for (int j = 0; j < npools && !written; j++)
			written = pools[j] == i && i < pm_first_application();
		if (!written)
			put_account(writer, i);
	}
}

/* The place of the ring's nth stretch, the oldest first. */
static int
nth(const PmRing *ring, int n)
{
	return (ring->head - ring->count + 1 + n + ring->length) % ring->length;
}

static void
put_series(Writer *writer, int r, int s)
{
	const PmRing *ring = &pm_shared->history->rings[r];
	SeriesRecord record = {.ring = r,.count = ring->count};

	strlcpy(record.name, pm_shared->history->series[s].name, PM_NAME_LEN);
	put_record(writer, RECORD_SERIES, &record, sizeof(record), ring->count * sizeof(PmBucket));
	for (int n = 0; n < ring->count; n++)
		put(writer, &ring->buckets[(Size) s * ring->length + nth(ring, n)], sizeof(PmBucket));
}

static void
put_ring(Writer *writer, int r)
{
	const PmHistory *history = pm_shared->history;
	const PmRing *ring = &history->rings[r];
	RingRecord	record = {.ring = r,.count = ring->count};

	put_record(writer, RECORD_RING, &record, sizeof(record), ring->count * sizeof(TimestampTz));
	for (int n = 0; n < ring->count; n++)
		put(writer, &ring->starts[nth(ring, n)], sizeof(TimestampTz));

	/* those of declared pools first: see put_accounts() */
	for (int s = 0; s < history->nseries; s++)
	{
		if (history->series[s].account >= 0)
			put_series(writer, r, s);
	}
	for (int s = 0; s < history->nseries; s++)
	{
		if (history->series[s].account < 0 && history->series[s].name[0] != '\0')
			put_series(writer, r, s);
	}
}

/* The oldest first. */
static void
put_events(Writer *writer)
{
	const PmEvents *events = pm_shared->events;
	uint64		last = pg_atomic_read_u64(&pm_shared->events->last_seq);
	PmEvent		event;

	for (int i = 1; i <= pm_max_events; i++)
	{
		if (writer->lock)
			(void) pm_event_at(last + i, &event);
		else
			event = events->ring[(last + i) % pm_max_events];
		if (event.seq != 0)
			put_record(writer, RECORD_EVENT, &event, sizeof(event), 0);
	}
}

static bool
write_header(Writer *writer, bool complete)
{
	Header		header = {
		.magic = MAGIC,
		.format = FORMAT,
		.major = PG_MAJORVERSION_NUM,
		.system_identifier = GetSystemIdentifier(),
		.inode = inode_of_server(),
		.saved_at = GetCurrentTimestamp(),
		.last_event = pg_atomic_read_u64(&pm_shared->events->last_seq),
		.body_length = writer->length,
		.complete = complete,
	};

	FIN_CRC32C(writer->crc);
	header.body_crc = writer->crc;
	header.crc = crc_of(&header, offsetof(Header, crc));
	return fseek(writer->file, 0, SEEK_SET) == 0 &&
		fwrite(&header, sizeof(header), 1, writer->file) == 1;
}

/*
 * The worker is the only one that writes the history, so it needs no lock to
 * read it; nor does the last process.
 */
static bool
write_file(FILE *file, bool complete)
{
	Writer		writer = {.file = file,.ok = true,.lock = !complete};
	Header		room = {0};

	if (fwrite(&room, sizeof(room), 1, file) != 1)
		return false;
	INIT_CRC32C(writer.crc);
	put_accounts(&writer);
	for (int r = 0; r < PM_NUM_RINGS; r++)
		put_ring(&writer, r);
	put_events(&writer);
	return writer.ok && write_header(&writer, complete) &&
		fflush(file) == 0 && pg_fsync(fileno(file)) == 0;
}

/* Logs why writing failed, once until it works again. */
static void
tell_of_failure(int error)
{
	static int	told = 0;

	if (error != 0 && error != told)
	{
		errno = error;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("pool_monitor could not write its statistics to \"%s\": %m", PM_STATFILE),
				 errdetail("What was written before stays as it is.")));
	}
	told = error;
}

/* As durable_rename(), of a file that is on disk; but it says nothing itself. */
static bool
move_file(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return false;
	(void) fsync_fname_ext(FOLDER, true, true, LOG);
	return true;
}

static void
save(bool complete)
{
	FILE	   *file = AllocateFile(TEMPORARY, PG_BINARY_W);
	int			error = 0;

	if (file == NULL)
	{
		tell_of_failure(errno);
		return;
	}
	errno = 0;
	if (!write_file(file, complete))
		error = errno != 0 ? errno : ENOSPC;
	if (FreeFile(file) != 0 && error == 0)
		error = errno;
	if (error == 0 && !move_file(TEMPORARY, PM_STATFILE))
		error = errno;
	if (error != 0)
		(void) unlink(TEMPORARY);
	tell_of_failure(error);
}

/*
 * Has the server shut down, with its shutdown checkpoint? After an immediate
 * shutdown the postmaster may exit with the same code as after a good one.
 */
static bool
shut_down_in_order(void)
{
	ControlFileData control;
	FILE	   *file = AllocateFile(XLOG_CONTROL_FILE, PG_BINARY_R);
	bool		got;

	if (file == NULL)
		return false;
	got = fread(&control, sizeof(control), 1, file) == 1;
	(void) FreeFile(file);
	return got && (control.state == DB_SHUTDOWNED || control.state == DB_SHUTDOWNED_IN_RECOVERY);
}

/*
 * on_shmem_exit of the postmaster, when everybody else has gone. After a crash
 * shared memory is not to be trusted. A server that never had a worker has
 * nothing to say.
 */
static void
save_at_exit(int code, Datum arg)
{
	if (code == 0 && pm_shared != NULL && pm_shared->statistics_loaded && shut_down_in_order())
		save(true);
}

void
pm_statfile_at_exit(void)
{
	if (!IsUnderPostmaster)
		on_shmem_exit(save_at_exit, (Datum) 0);
}

/* ---- reading ---- */

typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

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
take_buckets(Reader *reader, uint32 n, uint64 *counts)
{
	for (uint32 i = 0; i < n; i++)
	{
		const char *at = take(reader, sizeof(BucketPair));
		BucketPair	pair;

		if (at == NULL)
			return false;
		memcpy(&pair, at, sizeof(pair));
		if (pair.bucket >= PM_BUCKETS)
			return false;
		counts[pair.bucket] = pair.count;
	}
	return true;
}

/* Caller holds lock exclusively. */
static int
account_named(const char *name, bool is_application)
{
	if (is_application)
		return pm_application_account(name, true);
	for (int i = pm_other_account(); i < pm_num_accounts(); i++)
	{
		if (strcmp(pm_shared->accounts[i].name, name) == 0)
			return i;
	}
	return pm_account_for_pool(name);
}

/* What is known while the body is read; dry: only looked at, nothing is used. */
typedef struct Reading
{
	bool		dry;
	uint32		ring_counts[PM_NUM_RINGS];
	int			lost;			/* sessions that were there when it was
								 * written */
} Reading;

static void
use_account(const AccountRecord *record, PmFigures *figures, Reading *reading)
{
	int			account;
	int			lost;

	memcpy(figures->counters, record->counters, sizeof(record->counters));
	figures->busy = record->busy;
	figures->observed = record->observed;
	memcpy(figures->not_in_history, record->not_in_history, sizeof(record->not_in_history));
	figures->peak = record->peak;
	figures->peak_at = record->peak_at;
	figures->stats_reset = record->stats_reset;
	figures->lifetime_max = record->lifetime_max;
	figures->hold_max = record->hold_max;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	account = account_named(record->name, record->is_application != 0);
	lost = pm_account_merge(account, figures);
	LWLockRelease(pm_shared->lock);
	if (account == pm_server_account())
		reading->lost = lost;
}

static bool
read_account(Reader *reader, Reading *reading)
{
	static PmFigures figures;	/* too large for a stack */
	AccountRecord record;
	const void *at = take(reader, sizeof(record));

	if (at == NULL)
		return false;
	memcpy(&record, at, sizeof(record));
	record.name[PM_NAME_LEN - 1] = '\0';
	memset(&figures, 0, sizeof(figures));
	if (!take_buckets(reader, record.nlifetimes, figures.lifetimes) ||
		!take_buckets(reader, record.nholds, figures.holds))
		return false;
	if (!reading->dry)
		use_account(&record, &figures, reading);
	return true;
}

/* Only the newest stretches, if the ring is shorter now. */
static bool
read_ring(Reader *reader, Reading *reading)
{
	RingRecord	record;
	const void *at = take(reader, sizeof(record));
	const char *starts;
	PmRing	   *ring;

	if (at == NULL)
		return false;
	memcpy(&record, at, sizeof(record));
	if (record.ring >= PM_NUM_RINGS)
		return false;
	starts = take(reader, (uint64) record.count * sizeof(TimestampTz));
	if (starts == NULL)
		return false;
	reading->ring_counts[record.ring] = record.count;
	if (reading->dry)
		return true;

	ring = &pm_shared->history->rings[record.ring];
	LWLockAcquire(pm_shared->history_lock, LW_EXCLUSIVE);
	ring->count = Min(record.count, (uint32) ring->length);
	ring->head = Max(ring->count - 1, 0);
	memcpy(ring->starts, starts + (record.count - ring->count) * sizeof(TimestampTz),
		   ring->count * sizeof(TimestampTz));
	LWLockRelease(pm_shared->history_lock);
	return true;
}

static bool
read_series(Reader *reader, Reading *reading)
{
	SeriesRecord record;
	const void *at = take(reader, sizeof(record));
	const char *buckets;
	PmRing	   *ring;
	int			s;

	if (at == NULL)
		return false;
	memcpy(&record, at, sizeof(record));
	record.name[PM_NAME_LEN - 1] = '\0';
	if (record.ring >= PM_NUM_RINGS || record.count != reading->ring_counts[record.ring])
		return false;
	buckets = take(reader, (uint64) record.count * sizeof(PmBucket));
	if (buckets == NULL)
		return false;
	if (reading->dry)
		return true;

	ring = &pm_shared->history->rings[record.ring];
	LWLockAcquire(pm_shared->history_lock, LW_EXCLUSIVE);
	s = pm_history_series(record.name, false);
	if (s >= 0)
		memcpy(ring->buckets + (Size) s * ring->length,
			   buckets + (record.count - ring->count) * sizeof(PmBucket),
			   ring->count * sizeof(PmBucket));
	LWLockRelease(pm_shared->history_lock);
	return true;
}

/* Into its place, unless a newer one is there. */
static bool
read_event(Reader *reader, Reading *reading)
{
	PmEvent		event;
	PmEvent    *place;
	const void *at = take(reader, sizeof(event));

	if (at == NULL)
		return false;
	memcpy(&event, at, sizeof(event));
	if ((uint32) event.kind >= PM_NUM_EVENTS ||
		event.pool[PM_NAME_LEN - 1] != '\0' || event.detail[PM_DETAIL_LEN - 1] != '\0')
		return false;
	if (reading->dry)
		return true;
	place = &pm_shared->events->ring[event.seq % pm_max_events];
	LWLockAcquire(pm_shared->events_lock, LW_EXCLUSIVE);
	if (place->seq < event.seq)
		*place = event;
	LWLockRelease(pm_shared->events_lock);
	return true;
}

static bool
read_record(uint32 kind, Reader *record, Reading *reading)
{
	bool		ok;

	switch (kind)
	{
		case RECORD_ACCOUNT:
			ok = read_account(record, reading);
			break;
		case RECORD_RING:
			ok = read_ring(record, reading);
			break;
		case RECORD_SERIES:
			ok = read_series(record, reading);
			break;
		case RECORD_EVENT:
			ok = read_event(record, reading);
			break;
		default:
			return false;
	}
	return ok && record->at == record->end;
}

/*
 * False when it makes no sense. Called twice, first dry: what has passed that
 * does not fail the second time, and so is used as a whole or not at all.
 */
static bool
read_body(const char *body, uint64 length, Reading *reading)
{
	Reader		reader = {.at = body,.end = body + length};

	while (reader.at < reader.end)
	{
		const void *at = take(&reader, sizeof(RecordHeader));
		RecordHeader header;
		Reader		record;

		if (at == NULL)
			return false;
		memcpy(&header, at, sizeof(header));
		record.at = take(&reader, header.length);
		if (record.at == NULL)
			return false;
		record.end = record.at + header.length;
		if (!read_record(header.kind, &record, reading))
			return false;
	}
	return true;
}

/* Why the file is not to be used; NULL if it is. */
static const char *
what_is_wrong(const Header *header, const char *body, uint64 body_length)
{
	Reading		reading = {.dry = true};

	if (header->magic != MAGIC)
		return "it is not a file of pool_monitor's statistics";
	if (header->crc != crc_of(header, offsetof(Header, crc)))
		return "its header is damaged";
	if (header->format != FORMAT)
		return "it was written by another version of pool_monitor";
	if (header->major != PG_MAJORVERSION_NUM)
		return "it was written under another major version of PostgreSQL";
	if (header->system_identifier != GetSystemIdentifier() || header->inode != inode_of_server())
		return "it belongs to another server or to a copy's original";
	if (header->body_length != body_length)
		return "it is not complete";
	if (header->body_crc != crc_of(body, body_length))
		return "it is damaged";
	if (!read_body(body, body_length, &reading))
		return "it makes no sense";
	return NULL;
}

static void
set_aside(const char *why)
{
	if (move_file(PM_STATFILE, SET_ASIDE))
		ereport(WARNING,
				(errmsg("pool_monitor does not use its file of statistics \"%s\": %s", PM_STATFILE, why),
				 errdetail("Counters, peaks, history and events begin anew. The file is kept as \"%s\".", SET_ASIDE)));
	else
		ereport(WARNING,
				(errmsg("pool_monitor does not use its file of statistics \"%s\": %s", PM_STATFILE, why),
				 errdetail("Counters, peaks, history and events begin anew. The file could not be renamed to \"%s\" (%m) and will be overwritten.", SET_ASIDE)));
	pm_event(PM_EVENT_STATISTICS_LOST, NULL, false, 0, "{\"reason\": \"%s\"}", why);
}

/*
 * The whole file, in the current memory context, and its length; NULL when it
 * is not there, or cannot be read, which why tells.
 */
static char *
read_whole(uint64 *length, const char **why)
{
	FILE	   *file = AllocateFile(PM_STATFILE, PG_BINARY_R);
	struct stat st;
	char	   *data = NULL;

	*why = NULL;
	if (file == NULL)
	{
		if (errno != ENOENT)
			*why = "it cannot be opened";
		return NULL;
	}
	if (fstat(fileno(file), &st) != 0)
		*why = "it cannot be read";
	else
	{
		*length = st.st_size;
		data = palloc_extended(*length + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (data == NULL)
			*why = "there is not enough memory to read it";
		else if (*length > 0 && fread(data, *length, 1, file) != 1)
		{
			*why = "it cannot be read";
			data = NULL;
		}
	}
	(void) FreeFile(file);
	return data;
}

/* The numbers of the events go on where they were. */
static void
continue_events(uint64 seq)
{
	PmEvents   *events = pm_shared->events;

	LWLockAcquire(pm_shared->events_lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&events->last_seq) < seq)
	{
		pg_atomic_write_u64(&events->last_seq, seq);
		pg_atomic_write_u64(&events->notified_seq, seq);
	}
	LWLockRelease(pm_shared->events_lock);
}

static void
use(const Header *header, const char *body, uint64 length)
{
	Reading		reading = {0};

	(void) read_body(body, length, &reading);
	if (header->complete == 0)
		pm_event(PM_EVENT_STATISTICS_LOST, NULL, false, 0,
				 "{\"reason\": \"the server did not shut down in good order\", \"saved\": \"%s\", \"sessions_lost\": %d}",
				 timestamptz_to_str(header->saved_at), reading.lost);
}

/* In whole rings, so that the places of those that were saved stay in order. */
static uint64
events_lost(void)
{
	return (EVENTS_LOST + pm_max_events - 1) / pm_max_events * (uint64) pm_max_events;
}

static void
tell_of_start(void)
{
	pm_event(PM_EVENT_STARTED, NULL, false, 0, "{\"version\": \"%s\"}", PM_VERSION);
}

static void
load(void)
{
	Header		header;
	uint64		length;
	const char *why;
	char	   *data = read_whole(&length, &why);
	char	   *body = NULL;

	if (data != NULL && length < sizeof(Header))
		why = "it is not complete";
	else if (data != NULL)
	{
		memcpy(&header, data, sizeof(Header));
		body = data + sizeof(Header);
		length -= sizeof(Header);
		why = what_is_wrong(&header, body, length);
	}

	if (body != NULL && why == NULL)
		continue_events(header.last_event + (header.complete ? 0 : events_lost()));
	tell_of_start();
	if (why != NULL)
		set_aside(why);
	else if (body != NULL)
		use(&header, body, length);
	if (data != NULL)
		pfree(data);
}

/*
 * Called by the worker when it starts. What it finds is used up: from then on
 * the file says that the server is running, so that a crash is noticed.
 */
void
pm_statfile_load(void)
{
	if (pm_shared->statistics_loaded)
		return;
	load();
	pm_shared->statistics_loaded = true;
	save(false);
}

/*
 * Called by the worker at each turn of its loop; allocates. What is due is in
 * shared memory, so that a worker that begins anew again and again saves too.
 */
void
pm_statfile_tick(void)
{
	int64		now = pm_monotonic_ms();
	int64		interval = pm_save_interval * INT64CONST(1000);
	int64	   *next = &pm_shared->next_save;
	bool		wanted = pg_atomic_exchange_u32(&pm_shared->save_wanted, 0) != 0;
	PmTally		tally;
	PmOpen		open;

	if (*next == 0 || *next > now + interval)
		*next = now + interval;
	if (now < *next && !wanted)
		return;
	*next = now + interval;
	pm_settle_all(&tally, &open);
	save(false);
}
