/*
 * saved_events.c
 *		The events in the file of statistics.
 */
#include "postgres.h"

#include "base/compat.h"
#include "events/events.h"
#include "statfile/saved_events.h"
#include "utils/timestamp.h"

typedef struct EventRow
{
	PmEvent		event;			/* its kind and marks unused */
	uint8		held_back;
	uint8		discovered;
	char		kind[32];
} EventRow;

static const PmField event_fields[] = {
	PM_ROW_FIELD(EventRow, UINT, "seq", event.seq),
	PM_ROW_FIELD(EventRow, INT, "at", event.at),
	PM_ROW_FIELD(EventRow, TEXT, "kind", kind),
	PM_ROW_FIELD(EventRow, INT, "pid", event.pid),
	PM_ROW_FIELD(EventRow, UINT, "times", event.times),
	PM_ROW_FIELD(EventRow, UINT, "held_back", held_back),
	PM_ROW_FIELD(EventRow, UINT, "discovered", discovered),
	PM_ROW_FIELD(EventRow, TEXT, "name", event.owner.name),
	PM_ROW_FIELD(EventRow, TEXT, "datname", event.owner.datname),
	PM_ROW_FIELD(EventRow, TEXT, "usename", event.owner.usename),
	PM_ROW_FIELD(EventRow, TEXT, "detail", event.detail),
};

const PmLayout pm_event_layout = {"event", sizeof(EventRow), lengthof(event_fields), event_fields};

/* The oldest first. */
void
pm_put_events(PmWriter *writer)
{
	uint64		last = pg_atomic_read_u64(&pm_event_ring->last_seq);
	PmEventCursor cursor = {0};
	EventRow	row;

	memset(&row, 0, sizeof(row));
	if (!writer->lock)
		pm_events_release_all();
	/* what is recorded meanwhile comes the next time */
	while (writer->lock ? cursor.seq < last && pm_event_next(&cursor, &row.event) :
		   pm_event_next_unlocked(&cursor, &row.event))
	{
		row.held_back = row.event.held_back;
		row.discovered = row.event.owner.discovered;
		memset(row.kind, 0, sizeof(row.kind));
		strlcpy(row.kind, pm_event_kinds[row.event.kind].name, sizeof(row.kind));
		pm_put_rows(writer, &pm_event_layout, &row, 1);
	}
}

/* False when we know none of this name. */
static bool
find_kind(const char *name, PmEventKind *kind)
{
	for (int i = 0; i < PM_NUM_EVENTS; i++)
	{
		if (strcmp(pm_event_kinds[i].name, name) == 0)
		{
			*kind = i;
			return true;
		}
	}
	return false;
}

/* Does it ask for a character by number, at this backslash, or is this a number with an exponent? */
static bool
is_beyond(const char *at, bool in_string)
{
	return in_string ? at[0] == '\\' && at[1] == 'u' :
		(at[0] == 'e' || at[0] == 'E') && at[-1] >= '0' && at[-1] <= '9';
}

/*
 * As PmEvent has it? The view casts it, in any database: jsonb has not all characters and
 * numbers that JSON has.
 */
static bool
is_detail(const char *detail)
{
	bool		in_string = false;

	if (!pm_printable(detail, PM_DETAIL_LEN) || detail[0] != '{' || !pm_is_json(detail))
		return false;
	for (const char *at = detail + 1; *at != '\0'; at++)
	{
		if (is_beyond(at, in_string))
			return false;
		if (*at == '"')
			in_string = !in_string;
		else if (*at == '\\')
			at++;
	}
	return true;
}

/* By the view. */
static bool
can_be_shown(const PmEvent *event)
{
	return pm_owner_can_be_shown(&event->owner) && IS_VALID_TIMESTAMP(event->at) && is_detail(event->detail);
}

/* In order: each finds its place at once. */
static bool
read_event(const PmRows *rows, uint32 n, uint64 *last, bool dry)
{
	EventRow	row;
	char		name[PM_FIELD_NAME_LEN];

	memset(&row, 0, sizeof(row));
	row.event.times = 1;
	strlcpy(row.event.detail, "{}", PM_DETAIL_LEN);
	if (!pm_read_row(rows, n, &row))
	{
		pm_leave_out("rows", "with texts that are too long");
		return true;
	}
	if (row.event.seq <= *last || !pm_printable(row.kind, sizeof(row.kind)))
		return false;
	*last = row.event.seq;
	row.event.held_back = row.held_back != 0;
	row.event.owner.discovered = row.discovered != 0;
	if (!find_kind(row.kind, &row.event.kind))
	{
		snprintf(name, sizeof(name), "\"%s\"", row.kind);
		pm_leave_out("event", name);
		return true;
	}
	if (!can_be_shown(&row.event))
		return false;
	if (!dry)
		pm_event_restore(&row.event);
	return true;
}

bool
pm_read_events(const PmRows *rows, bool dry)
{
	static uint64 last = 0;		/* number of the last one read */

	if (rows == NULL)
	{
		last = 0;
		return true;
	}
	for (uint32 n = 0; n < rows->n; n++)
	{
		if (!read_event(rows, n, &last, dry))
			return false;
	}
	return true;
}

void
pm_continue_events(uint64 seq)
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
