/*
 * statfile.c
 *		Writes counters, peaks, history and events to a file, and has them read
 *		back (statread.c).
 *
 * Written by the worker every save_interval, and by the postmaster when the
 * server has shut down in good order, which is what pg_control says then: all
 * sessions have ended and nothing is missing. Read by the worker, once after
 * each start of the server, and added to what was counted since. The file says
 * whether the shutdown was such: if not, what happened after it was written is
 * lost, and an event says so.
 *
 * Layout: statformat.h. A file is used as a whole or set aside as a whole, under the
 * name PM_STATFILE ".bad", with one WARNING: when it is damaged, of another format or
 * PostgreSQL major, or another server's. A
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
#include "accounts/account.h"
#include "accounts/counters.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/histogram.h"
#include "base/identity.h"
#include "base/reason.h"
#include "base/shmem.h"
#include "catalog/pg_control.h"
#include "events/events.h"
#include "history/history.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "pools/declared.h"
#include "port/pg_crc32c.h"
#include "sessions/settle.h"
#include "sessions/tally.h"
#include "statfile/statfile.h"
#include "statfile/statformat.h"
#include "statfile/statread.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SAVE_AGAIN	1000		/* ms */

/* In shared memory, the worker's alone. */
typedef struct State
{
	bool		loaded;			/* the file was read, or set aside */
	int64		next_save;		/* ms, monotonic; 0: not set yet */
} State;

static State *state = NULL;

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

/*
 * Records hold counters, reasons and kinds of events by their number: a file that goes
 * by other lists must not be read as one of these.
 */
uint32
pm_lists_crc(void)
{
	static const uint32 sizes[] = {sizeof(PmAccountRecord), sizeof(PmBucket), sizeof(PmEvent), PM_BUCKETS};
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, sizes, sizeof(sizes));
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
		COMP_CRC32C(crc, pm_counters[i].name, strlen(pm_counters[i].name) + 1);
	for (int i = 0; i < PM_NUM_REASONS; i++)
		COMP_CRC32C(crc, pm_reason_id(i), strlen(pm_reason_id(i)) + 1);
	for (int i = 0; i < PM_NUM_EVENTS; i++)
		COMP_CRC32C(crc, pm_event_kinds[i].name, strlen(pm_event_kinds[i].name) + 1);
	FIN_CRC32C(crc);
	return crc;
}

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
put_record(Writer *writer, PmRecordKind kind, const void *data, size_t length, size_t more)
{
	PmRecordHeader header = {.kind = kind,.length = length + more};

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
		PmBucketPair pair = {.bucket = i,.count = counts[i]};

		if (counts[i] != 0)
			put(writer, &pair, sizeof(pair));
	}
}

static void
put_account(Writer *writer, int account)
{
	static PmFigures figures;	/* too large for a stack, and no palloc here */
	PmAccountRecord record = {0};

	if (!pm_account_figures(account, &figures, writer->lock))
		return;
	strlcpy(record.name, figures.name, PM_NAME_LEN);
	record.is_application = account >= pm_first_application() && account < pm_other_account();
	record.peak = figures.peak;
	record.peak_at = figures.peak_at;
	memcpy(record.counters, figures.counters, sizeof(record.counters));
	memcpy(record.declines, figures.declines, sizeof(record.declines));
	record.busy = figures.busy;
	record.observed = figures.observed;
	memcpy(record.not_in_history, figures.not_in_history, sizeof(record.not_in_history));
	record.stats_reset = figures.stats_reset;
	record.lifetime_max = figures.lifetime_max;
	record.hold_max = figures.hold_max;
	record.nlifetimes = count_buckets(figures.lifetimes);
	record.nholds = count_buckets(figures.holds);
	put_record(writer, PM_RECORD_ACCOUNT, &record, sizeof(record),
			   (record.nlifetimes + record.nholds) * sizeof(PmBucketPair));
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
		LWLockAcquire(&pm_accounts->lock.lock, LW_SHARED);
	set = pm_rules_in_force();
	npools = set->npools;
	memcpy(pools, set->accounts, npools * sizeof(int));
	if (writer->lock)
		LWLockRelease(&pm_accounts->lock.lock);

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
	const PmRing *ring = &pm_history_rings->rings[r];
	PmSeriesRecord record = {.ring = r,.count = ring->count};

	strlcpy(record.name, pm_history_rings->series[s].name, PM_NAME_LEN);
	put_record(writer, PM_RECORD_SERIES, &record, sizeof(record), ring->count * sizeof(PmBucket));
	for (int n = 0; n < ring->count; n++)
		put(writer, &ring->buckets[(Size) s * ring->length + nth(ring, n)], sizeof(PmBucket));
}

static void
put_ring(Writer *writer, int r)
{
	const PmHistory *history = pm_history_rings;
	const PmRing *ring = &history->rings[r];
	PmRingRecord record = {.ring = r,.count = ring->count};

	put_record(writer, PM_RECORD_RING, &record, sizeof(record), ring->count * sizeof(TimestampTz));
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
	uint64		last = pg_atomic_read_u64(&pm_event_ring->last_seq);
	PmEventCursor cursor = {0};
	PmEvent		event;

	if (!writer->lock)
		pm_events_release_all();
	/* what is recorded meanwhile comes the next time */
	while (writer->lock ? cursor.seq < last && pm_event_next(&cursor, &event) : pm_event_next_unlocked(&cursor, &event))
		put_record(writer, PM_RECORD_EVENT, &event, sizeof(event), 0);
}

static bool
write_header(Writer *writer, bool complete)
{
	PmFileHeader header = {
		.magic = PM_STATFILE_MAGIC,
		.format = PM_STATFILE_FORMAT,
		.major = PG_MAJORVERSION_NUM,
		.system_identifier = GetSystemIdentifier(),
		.inode = pm_server_inode(),
		.saved_at = GetCurrentTimestamp(),
		.last_event = pg_atomic_read_u64(&pm_event_ring->last_seq),
		.body_length = writer->length,
		.complete = complete,
		.lists = pm_lists_crc(),
	};

	FIN_CRC32C(writer->crc);
	header.body_crc = writer->crc;
	header.crc = pm_crc_of(&header, offsetof(PmFileHeader, crc));
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
	PmFileHeader room = {0};

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
bool
pm_move_file(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return false;
	(void) fsync_fname_ext(PM_STATFOLDER, true, true, LOG);
	return true;
}

/*
 * NULL, and errno set, when that fails. To open a FIFO that somebody has left
 * there would block us for good.
 */
static FILE *
create_file(void)
{
	struct stat st;

	if (stat(PM_STATFILE_NEW, &st) == 0 && S_ISFIFO(st.st_mode) && unlink(PM_STATFILE_NEW) != 0)
		return NULL;
	return AllocateFile(PM_STATFILE_NEW, PG_BINARY_W);
}

/* Of this process: the newest event in the file, and when it last tried to write it. */
static uint64 saved_event = 0;
static int64 tried_at = 0;

static void
save(bool complete)
{
	FILE	   *file = create_file();
	int			error = 0;
	uint64		last_event = pg_atomic_read_u64(&pm_event_ring->last_seq);

	tried_at = pm_monotonic_ms();
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
	if (error == 0 && !pm_move_file(PM_STATFILE_NEW, PM_STATFILE))
		error = errno;
	if (error != 0)
		(void) unlink(PM_STATFILE_NEW);
	else
		saved_event = last_event;
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
	if (code == 0 && state != NULL && state->loaded && shut_down_in_order())
		save(true);
}

static Size
state_size(void)
{
	return sizeof(State);
}

static void
attach_state(void *memory)
{
	state = memory;
	if (!IsUnderPostmaster)
		on_shmem_exit(save_at_exit, (Datum) 0);
}

const PmSection pm_statfile_section = {
	.name = "statistics",
	.size = state_size,
	.attach = attach_state,
};

/*
 * Called by the worker when it starts. What it finds is used up: from then on
 * the file says that the server is running, so that a crash is noticed.
 */
void
pm_statfile_load(void)
{
	if (state->loaded)
		return;
	pm_statfile_read();
	state->loaded = true;
	save(false);
}

/* On a full disk it is not tried at each turn. */
static bool
too_many_events(int64 now)
{
	return pg_atomic_read_u64(&pm_event_ring->last_seq) > saved_event + PM_EVENTS_UNSAVED &&
		now - tried_at >= SAVE_AGAIN;
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
	int64	   *next = &state->next_save;
	bool		wanted = pg_atomic_exchange_u32(&pm_event_ring->save_wanted, 0) != 0 || too_many_events(now);
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
