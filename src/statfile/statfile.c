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
 * Layout: statformat.h. A file is used, or set aside as a whole, under the name
 * PM_STATFILE ".bad", with one WARNING: when it is damaged, of another format or
 * PostgreSQL major, or another server's. One that was written by an older or newer
 * library is used as far as it is understood; a WARNING says what was left out. A
 * copy of a data directory (a standby made by pg_basebackup) has the system
 * identifier of the original, but not the inode of its PG_VERSION file: so the
 * file belongs to the pair of both.
 *
 * Writing: to a file beside, fsync, rename. When that fails (the disk is full)
 * the former file stays, and the server log says so, once until it works again. Only
 * its header is changed then, once in each start: see pm_statfile_mark().
 *
 * Nothing here raises an error: in the postmaster there is nobody to catch it,
 * and in the worker it would begin a circle of restarts.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "accounts/figures.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "catalog/pg_control.h"
#include "events/ring.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "sessions/settle.h"
#include "sessions/tally.h"
#include "statfile/saved.h"
#include "statfile/statfile.h"
#include "statfile/statformat.h"
#include "statfile/statread.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SAVE_AGAIN	1000		/* ms */

/* In shared memory, the worker's alone; others read saved_at and error, each in one piece. */
typedef struct State
{
	TimestampTz saved_at;		/* 0: not yet, since the start */
	int			error;			/* errno of the last attempt; 0: it went well */
	bool		loaded;			/* the file was read, or set aside */
	bool		ours;			/* what was saved is in memory too */
	int64		next_save;		/* ms, monotonic; 0: not set yet */
} State;

static State *state = NULL;

static bool
write_header(PmWriter *writer, bool complete)
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
		.header_length = sizeof(PmFileHeader),
	};

	FIN_CRC32C(writer->crc);
	header.body_crc = writer->crc;
	header.crc = pm_crc_of(&header, offsetof(PmFileHeader, crc));
	return fseek(writer->file, 0, SEEK_SET) == 0 &&
		fwrite(&header, sizeof(header), 1, writer->file) == 1;
}

static bool
write_file(FILE *file, bool complete)
{
	PmWriter	writer = {.file = file,.layouts = &pm_saved_layouts,.ok = true,.lock = !complete};
	PmFileHeader room = {0};

	if (fwrite(&room, sizeof(room), 1, file) != 1)
		return false;
	INIT_CRC32C(writer.crc);
	pm_put_saved(&writer);
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

/*
 * What is there, but could not be read at the start, because its folder was closed to us or
 * not mounted yet, may be all that there is of months: kept aside, if that can be.
 */
static bool
replace_file(void)
{
	if (!state->ours && pm_move_file(PM_STATFILE, PM_STATFILE_BAD))
		ereport(LOG,
				(errmsg("pool_monitor found a file of statistics that was not to be read when it started"),
				 errdetail("It is kept as \"%s\".", PM_STATFILE_BAD)));
	return pm_move_file(PM_STATFILE_NEW, PM_STATFILE);
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
		state->error = errno;
		tell_of_failure(errno);
		return;
	}
	errno = 0;
	if (!write_file(file, complete))
		error = errno != 0 ? errno : ENOSPC;
	if (FreeFile(file) != 0 && error == 0)
		error = errno;
	if (error == 0 && !replace_file())
		error = errno;
	if (error != 0)
		(void) unlink(PM_STATFILE_NEW);
	else
	{
		state->ours = true;
		saved_event = last_event;
		state->saved_at = GetCurrentTimestamp();
	}
	state->error = error;
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

/* When the file was last written since the start (0: not yet), and errno of the last attempt. */
void
pm_statfile_look(TimestampTz *saved_at, int *error)
{
	*saved_at = state->saved_at;
	*error = state->error;
}

/*
 * Called by the worker when it starts. What it finds is used up: from then on
 * the file says that the server is running, so that a crash is noticed.
 *
 * Once at most: what is added a second time is counted twice, and saved so. A SIGTERM that
 * came meanwhile would end the worker in the first WARNING, which looks for interrupts; it
 * waits until the file is saved. Nothing holds off an ERROR (a message finds no memory), or
 * a FATAL: so "loaded" is set before anything is added, and the next worker at least saves.
 */
void
pm_statfile_load(void)
{
	HOLD_INTERRUPTS();
	if (!state->loaded)
		pm_statfile_read(&state->loaded, &state->ours);
	if (state->saved_at == 0)
		save(false);
	if (state->saved_at == 0 && state->ours)
		pm_statfile_mark(pg_atomic_read_u64(&pm_event_ring->last_seq));
	RESUME_INTERRUPTS();
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
