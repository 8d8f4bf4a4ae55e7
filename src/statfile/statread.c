/*
 * statread.c
 *		Reads the file of statistics, in the worker; see statfile.c.
 *
 * The body is read twice: the first time dry, so that what makes no sense is found
 * before anything of it is used. Raises no error: it would begin a circle of
 * restarts.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/places.h"
#include "base/histogram.h"
#include "base/identity.h"
#include "events/events.h"
#include "history/history.h"
#include "pgstat.h"
#include "statfile/statformat.h"
#include "statfile/statread.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * More events than can have been lost in a crash: after half of them the file is
 * written, and what comes meanwhile is not as many again. (Where it could not be
 * written, because the disk was full, they may be more.)
 */
#define EVENTS_LOST	(2 * PM_EVENTS_UNSAVED)

#define MAX_READ	(64 * 1024 * 1024)	/* bytes at a time */

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
		const char *at = take(reader, sizeof(PmBucketPair));
		PmBucketPair pair;

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
		return pm_account_for_application(name);
	for (int i = pm_other_account(); i < pm_num_accounts(); i++)
	{
		if (strcmp(pm_accounts->all[i].name, name) == 0)
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
	uint64		last_event;		/* number of the last one read */
} Reading;

static void
use_account(const PmAccountRecord *record, PmFigures *figures, Reading *reading)
{
	int			account;
	int			lost;

	memcpy(figures->counters, record->counters, sizeof(record->counters));
	memcpy(figures->declines, record->declines, sizeof(record->declines));
	figures->busy = record->busy;
	figures->observed = record->observed;
	memcpy(figures->not_in_history, record->not_in_history, sizeof(record->not_in_history));
	figures->peak = record->peak;
	figures->peak_at = record->peak_at;
	figures->stats_reset = record->stats_reset;
	figures->lifetime_max = record->lifetime_max;
	figures->hold_max = record->hold_max;

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	account = account_named(record->name, record->is_application != 0);
	lost = pm_account_merge(account, figures);
	LWLockRelease(&pm_accounts->lock.lock);
	if (account == pm_server_account())
		reading->lost = lost;
}

static bool
read_account(Reader *reader, Reading *reading)
{
	static PmFigures figures;	/* too large for a stack */
	PmAccountRecord record;
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
	PmRingRecord record;
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

	ring = &pm_history_rings->rings[record.ring];
	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	ring->count = Min(record.count, (uint32) ring->length);
	ring->head = Max(ring->count - 1, 0);
	memcpy(ring->starts, starts + (record.count - ring->count) * sizeof(TimestampTz),
		   ring->count * sizeof(TimestampTz));
	LWLockRelease(&pm_history_rings->lock);
	return true;
}

static bool
read_series(Reader *reader, Reading *reading)
{
	PmSeriesRecord record;
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

	ring = &pm_history_rings->rings[record.ring];
	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	s = pm_history_series(record.name, false);
	if (s >= 0)
		memcpy(ring->buckets + (Size) s * ring->length,
			   buckets + (record.count - ring->count) * sizeof(PmBucket),
			   ring->count * sizeof(PmBucket));
	LWLockRelease(&pm_history_rings->lock);
	return true;
}

static bool
read_event(Reader *reader, Reading *reading)
{
	PmEvent		event;
	const void *at = take(reader, sizeof(event));

	if (at == NULL)
		return false;
	memcpy(&event, at, sizeof(event));
	/* in order: each finds its place at once */
	if ((uint32) event.kind >= PM_NUM_EVENTS || event.seq <= reading->last_event ||
		event.pool[PM_NAME_LEN - 1] != '\0' || event.detail[PM_DETAIL_LEN - 1] != '\0')
		return false;
	reading->last_event = event.seq;
	if (!reading->dry)
		pm_event_restore(&event);
	return true;
}

static bool
read_record(uint32 kind, Reader *record, Reading *reading)
{
	bool		ok;

	switch (kind)
	{
		case PM_RECORD_ACCOUNT:
			ok = read_account(record, reading);
			break;
		case PM_RECORD_RING:
			ok = read_ring(record, reading);
			break;
		case PM_RECORD_SERIES:
			ok = read_series(record, reading);
			break;
		case PM_RECORD_EVENT:
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
		if (!read_record(header.kind, &record, reading))
			return false;
	}
	return true;
}

/* Why the file is not to be used, as far as its header says; NULL: go on. */
static const char *
wrong_header(const PmFileHeader *header, uint64 body_length)
{
	if (header->magic != PM_STATFILE_MAGIC)
		return "it is not a file of pool_monitor's statistics";
	if (header->crc != pm_crc_of(header, offsetof(PmFileHeader, crc)))
		return "its header is damaged";
	if (header->format != PM_STATFILE_FORMAT || header->lists != pm_lists_crc())
		return "it was written by another version of pool_monitor";
	if (header->major != PG_MAJORVERSION_NUM)
		return "it was written under another major version of PostgreSQL";
	if (header->system_identifier != GetSystemIdentifier() || header->inode != pm_server_inode())
		return "it belongs to another server or to a copy's original";
	if (header->body_length != body_length)
		return "it is not complete";
	return NULL;
}

static const char *
wrong_body(const PmFileHeader *header, const char *body)
{
	Reading		reading = {.dry = true};

	if (header->body_crc != pm_crc_of(body, header->body_length))
		return "it is damaged";
	if (!read_body(body, header->body_length, &reading))
		return "it makes no sense";
	return NULL;
}

static void
set_aside(const char *why)
{
	if (pm_move_file(PM_STATFILE, PM_STATFILE_BAD))
		ereport(WARNING,
				(errmsg("pool_monitor does not use its file of statistics \"%s\": %s", PM_STATFILE, why),
				 errdetail("Counters, peaks, history and events begin anew. The file is kept as \"%s\".", PM_STATFILE_BAD)));
	else
		ereport(WARNING,
				(errmsg("pool_monitor does not use its file of statistics \"%s\": %s", PM_STATFILE, why),
				 errdetail("Counters, peaks, history and events begin anew. The file could not be renamed to \"%s\" (%m) and will be overwritten.", PM_STATFILE_BAD)));
	pm_event(PM_EVENT_STATISTICS_LOST, NULL, false, 0, "{\"reason\": \"%s\"}", why);
}

static bool
read_bytes(int fd, char *to, uint64 length)
{
	while (length > 0)
	{
		ssize_t		got = read(fd, to, Min(length, MAX_READ));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		length -= got;
	}
	return true;
}

/*
 * The header, and the body in the current memory context; NULL when the file
 * cannot be used, and why. Only an ordinary file whose length is what a sound
 * header says: a FIFO would give nothing for ever, a sparse file zeros for long.
 */
static char *
read_open(int fd, PmFileHeader *header, const char **why)
{
	struct stat st;
	char	   *body = NULL;

	if (fstat(fd, &st) != 0)
		*why = "it cannot be read";
	else if (!S_ISREG(st.st_mode))
		*why = "it is not an ordinary file";
	else if (st.st_size < (off_t) sizeof(PmFileHeader))
		*why = "it is not complete";
	else if (!read_bytes(fd, (char *) header, sizeof(PmFileHeader)))
		*why = "it cannot be read";
	else
		*why = wrong_header(header, st.st_size - sizeof(PmFileHeader));
	if (*why != NULL)
		return NULL;

	body = palloc_extended(header->body_length + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (body == NULL)
		*why = "there is not enough memory to read it";
	else if (!read_bytes(fd, body, header->body_length))
		*why = "it cannot be read";
	else
		*why = wrong_body(header, body);
	return *why == NULL ? body : NULL;
}

/* As read_open(); NULL without a reason when the file is not there. */
static char *
read_whole(PmFileHeader *header, const char **why)
{
	int			fd = OpenTransientFile(PM_STATFILE, O_RDONLY | O_NONBLOCK | PG_BINARY);
	char	   *body;

	*why = NULL;
	if (fd < 0)
	{
		if (errno != ENOENT)
			*why = "it cannot be opened";
		return NULL;
	}
	body = read_open(fd, header, why);
	(void) CloseTransientFile(fd);
	return body;
}

/* The numbers of the events go on where they were. */
static void
continue_events(uint64 seq)
{
	PmEvents   *events = pm_event_ring;

	LWLockAcquire(&pm_event_ring->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&events->last_seq) < seq)
	{
		pg_atomic_write_u64(&events->last_seq, seq);
		pg_atomic_write_u64(&events->notified_seq, seq);
	}
	LWLockRelease(&pm_event_ring->lock);
}

static void
use(const PmFileHeader *header, const char *body)
{
	Reading		reading = {0};

	(void) read_body(body, header->body_length, &reading);
	if (header->complete == 0)
		pm_event(PM_EVENT_STATISTICS_LOST, NULL, false, 0,
				 "{\"reason\": \"the server did not shut down in good order\", \"saved\": \"%s\", \"sessions_lost\": %d}",
				 timestamptz_to_str(header->saved_at), reading.lost);
}

static void
tell_of_start(void)
{
	pm_event(PM_EVENT_STARTED, NULL, false, 0, "{\"version\": \"%s\"}", PM_VERSION);
}

void
pm_statfile_read(void)
{
	PmFileHeader header;
	const char *why;
	char	   *body = read_whole(&header, &why);

	if (body != NULL)
		continue_events(header.last_event + (header.complete ? 0 : EVENTS_LOST));
	tell_of_start();
	if (why != NULL)
		set_aside(why);
	if (body == NULL)
		return;
	use(&header, body);
	pfree(body);
}
