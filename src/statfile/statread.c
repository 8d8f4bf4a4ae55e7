/*
 * statread.c
 *		Reads the file of statistics, in the worker; see statfile.c.
 *
 * The body is read twice: the first time dry, so that what makes no sense is found
 * before anything of it is used, and it is used as a whole or not at all. Raises no
 * error: it would begin a circle of restarts.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "events/events.h"
#include "miscadmin.h"
#include "statfile/saved.h"
#include "statfile/saved_accounts.h"
#include "statfile/saved_events.h"
#include "statfile/statread.h"
#include "statfile/statrows.h"
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

/* Why the file is not to be used, as far as its header says; NULL: go on. */
static const char *
wrong_header(const PmFileHeader *header, uint64 body_length)
{
	if (header->magic != PM_STATFILE_MAGIC)
		return "it is not a file of pool_monitor's statistics";
	if (header->crc != pm_crc_of(header, offsetof(PmFileHeader, crc)))
		return "its header is damaged";
	if (header->format != PM_STATFILE_FORMAT || header->header_length != sizeof(PmFileHeader))
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
	if (header->body_crc != pm_crc_of(body, header->body_length))
		return "it is damaged";
	if (!pm_read_saved(body, header->body_length, true))
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
				 errdetail("Counters, peaks, history and events begin anew. The file could not be renamed to \"%s\" (%m), which is tried once more before it is overwritten.", PM_STATFILE_BAD)));
	pm_event(PM_EVENT_STATISTICS_LOST, NULL, 0, "{\"reason\": \"%s\"}", why);
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

/* What another version has written, and this one does not know: it stays in a copy. */
static void
tell_of_left_out(void)
{
	char		text[160];		/* escaped, it has room in an event */
	char		escaped[2 * sizeof(text)];
	bool		kept;

	if (pm_left_out()[0] == '\0')
		return;
	/* under two names, of which the next save takes one away */
	kept = (unlink(PM_STATFILE_BAD) == 0 || errno == ENOENT) && link(PM_STATFILE, PM_STATFILE_BAD) == 0;
	ereport(WARNING,
			(errmsg("pool_monitor does not know all that is in its file of statistics \"%s\": another version has written it", PM_STATFILE),
			 kept ? errdetail("Left out: %s. Everything else is used. The file is kept as \"%s\".", pm_left_out(), PM_STATFILE_BAD) :
			 errdetail("Left out: %s. Everything else is used.", pm_left_out())));
	strlcpy(text, pm_left_out(), sizeof(text));
	pm_event(PM_EVENT_STATISTICS_LOST, NULL, 0,
			 "{\"reason\": \"written by another version\", \"left_out\": \"%s\"}",
			 pm_json_escape(escaped, text));
}

/*
 * What was used, but could not be replaced, says from now on that the server is running: in
 * place, which needs no room. So a crash is noticed, and no number of an event comes again,
 * not after several of them either. (On a disk that takes no write at all they do.)
 */
void
pm_statfile_mark(uint64 last_event)
{
	int			fd = OpenTransientFile(PM_STATFILE, O_RDWR | O_NONBLOCK | PG_BINARY);
	PmFileHeader header;
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t) sizeof(header) &&
		read_bytes(fd, (char *) &header, sizeof(header)) &&
		wrong_header(&header, st.st_size - sizeof(header)) == NULL)
	{
		header.complete = 0;
		header.last_event = Max(header.last_event, last_event);
		header.crc = pm_crc_of(&header, offsetof(PmFileHeader, crc));
		if (pg_pwrite(fd, &header, sizeof(header), 0) == sizeof(header))
			(void) pg_fsync(fd);
	}
	(void) CloseTransientFile(fd);
}

static void
use(const PmFileHeader *header, const char *body)
{
	(void) pm_read_saved(body, header->body_length, false);
	tell_of_left_out();
	if (header->complete == 0)
		pm_event(PM_EVENT_STATISTICS_LOST, NULL, 0,
				 "{\"reason\": \"the server did not shut down in good order\", \"saved\": \"%s\", \"sessions_lost\": %d}",
				 timestamptz_to_str(header->saved_at), pm_sessions_lost());
}

static void
tell_of_start(void)
{
	pm_event(PM_EVENT_STARTED, NULL, 0, "{\"version\": \"%s\"}", PM_VERSION);
}

void
pm_statfile_read(bool *read, bool *used)
{
	PmFileHeader header;
	const char *why;
	char	   *body = read_whole(&header, &why);

	Assert(!INTERRUPTS_CAN_BE_PROCESSED());
	*read = true;
	if (body != NULL)
		pm_continue_events(header.last_event + (header.complete ? 0 : EVENTS_LOST));
	tell_of_start();
	if (why != NULL)
		set_aside(why);
	if (body == NULL)
		return;
	*used = true;
	use(&header, body);
	pfree(body);
}
