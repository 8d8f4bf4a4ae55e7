/*
 * saved_history.c
 *		The history in the file of statistics.
 *
 * The worker is the only one that writes the history, so it needs no lock to read it; nor
 * does the last process.
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/identity.h"
#include "history/rings.h"
#include "statfile/saved_history.h"
#include "utils/timestamp.h"

typedef struct RingRow
{
	int64		resolution;		/* us */
} RingRow;

static const PmField ring_fields[] = {
	PM_ROW_FIELD(RingRow, INT, "resolution", resolution),
};

const PmLayout pm_ring_layout = {"ring", sizeof(RingRow), lengthof(ring_fields), ring_fields};

typedef struct StartRow
{
	TimestampTz start;
} StartRow;

static const PmField start_fields[] = {
	PM_ROW_FIELD(StartRow, INT, "start", start),
};

const PmLayout pm_start_layout = {"start", sizeof(StartRow), lengthof(start_fields), start_fields};

typedef struct SeriesRow
{
	char		name[PM_NAME_LEN];
	uint8		discovered;		/* an application's, with its other names */
	char		datname[PM_NAME_LEN];
	char		usename[PM_NAME_LEN];
} SeriesRow;

static const PmField series_fields[] = {
	PM_ROW_FIELD(SeriesRow, TEXT, "name", name),
	PM_ROW_FIELD(SeriesRow, UINT, "discovered", discovered),
	PM_ROW_FIELD(SeriesRow, TEXT, "datname", datname),
	PM_ROW_FIELD(SeriesRow, TEXT, "usename", usename),
};

const PmLayout pm_series_layout = {"series", sizeof(SeriesRow), lengthof(series_fields), series_fields};

static const PmField bucket_fields[] = {
	PM_ROW_FIELD(PmBucket, REAL, "connections", connections),
	PM_ROW_FIELD(PmBucket, REAL, "busy", busy),
	PM_ROW_FIELD(PmBucket, UINT, "seen", seen),
	PM_ROW_FIELD(PmBucket, INT, "max_connections", max_connections),
	PM_ROW_FIELD(PmBucket, INT, "max_busy", max_busy),
	PM_ROW_FIELD(PmBucket, UINT, "connects", connects),
	PM_ROW_FIELD(PmBucket, UINT, "disconnects", disconnects),
	PM_ROW_FIELD(PmBucket, UINT, "refused", refused),
	PM_ROW_FIELD(PmBucket, UINT, "rejected", rejected),
	PM_ROW_FIELD(PmBucket, UINT, "guarded", guarded),
	PM_ROW_FIELD(PmBucket, UINT, "would_be_guarded", would_be_guarded),
	PM_ROW_FIELD(PmBucket, UINT, "guarded_by_reserves", guarded_by_reserves),
	PM_ROW_FIELD(PmBucket, UINT, "guarded_by_rate", guarded_by_rate),
	PM_ROW_FIELD(PmBucket, UINT, "auth_failures", auth_failures),
	PM_ROW_FIELD(PmBucket, UINT, "retired", retired),
	PM_ROW_FIELD(PmBucket, UINT, "transactions", transactions),
	PM_ROW_FIELD(PmBucket, UINT, "long holds", long_holds),
	PM_ROW_FIELD(PmBucket, UINT, "overflow", overflow),
	PM_ROW_FIELD(PmBucket, UINT, "exhausted", exhausted),
	PM_ROW_FIELD(PmBucket, UINT, "over", over),
	PM_ROW_FIELD(PmBucket, UINT, "starved", starved),
	PM_ROW_FIELD(PmBucket, UINT, "waits client", waits[PM_WAIT_CLIENT]),
	PM_ROW_FIELD(PmBucket, UINT, "waits lock", waits[PM_WAIT_LOCK]),
	PM_ROW_FIELD(PmBucket, UINT, "waits io", waits[PM_WAIT_IO]),
	PM_ROW_FIELD(PmBucket, UINT, "waits other", waits[PM_WAIT_OTHER]),
	PM_ROW_FIELD(PmBucket, UINT, "checkouts", checkouts),
	PM_ROW_FIELD(PmBucket, UINT, "checkout waits", checkout_waits),
	PM_ROW_FIELD(PmBucket, REAL, "waited", waited),
	PM_ROW_FIELD(PmBucket, UINT, "timed checkouts", timed_checkouts),
	PM_ROW_FIELD(PmBucket, REAL, "checked out", checked_out),
	PM_ROW_FIELD(PmBucket, REAL, "reported open", reported_open),
	PM_ROW_FIELD(PmBucket, UINT, "checkout timeouts", checkout_timeouts),
	PM_ROW_FIELD(PmBucket, UINT, "ticks", ticks),
	PM_ROW_FIELD(PmBucket, UINT, "squares", squares),
};

const PmLayout pm_bucket_layout = {"bucket", sizeof(PmBucket), lengthof(bucket_fields), bucket_fields};

/* ---- writing ---- */

static void
put_series(PmWriter *writer, const PmRing *ring, int s)
{
	SeriesRow	row = {{0}};
	const PmSeries *series = &pm_history_rings->series[s];

	strlcpy(row.name, series->name, PM_NAME_LEN);
	row.discovered = s >= pm_first_application_series();
	if (row.discovered)
	{
		strlcpy(row.name, series->application.name, PM_NAME_LEN);
		strlcpy(row.datname, series->application.datname, PM_NAME_LEN);
		strlcpy(row.usename, series->application.usename, PM_NAME_LEN);
	}
	pm_put_rows(writer, &pm_series_layout, &row, 1);
	pm_put_rows_begin(writer, &pm_bucket_layout, ring->count);
	for (int n = 0; n < ring->count; n++)
		pm_put_bytes(writer, &ring->buckets[(Size) s * ring->length + pm_ring_nth(ring, n)], sizeof(PmBucket));
}

static void
put_ring(PmWriter *writer, const PmRing *ring)
{
	const PmHistory *history = pm_history_rings;
	RingRow		row = {.resolution = ring->resolution};

	pm_put_rows(writer, &pm_ring_layout, &row, 1);
	pm_put_rows_begin(writer, &pm_start_layout, ring->count);
	for (int n = 0; n < ring->count; n++)
		pm_put_bytes(writer, &ring->starts[pm_ring_nth(ring, n)], sizeof(TimestampTz));

	/* those of declared pools first: see pm_put_accounts() */
	for (int s = 0; s < history->nseries; s++)
	{
		if (history->series[s].account >= 0)
			put_series(writer, ring, s);
	}
	for (int s = 0; s < history->nseries; s++)
	{
		if (history->series[s].account < 0 && history->series[s].name[0] != '\0')
			put_series(writer, ring, s);
	}
}

void
pm_put_history(PmWriter *writer)
{
	for (int r = 0; r < PM_NUM_RINGS; r++)
		put_ring(writer, &pm_history_rings->rings[r]);
}

/* ---- reading ---- */

/* What the rows that come next belong to. */
static struct
{
	bool		in_ring;
	PmRing	   *ring;			/* NULL: one that we do not have */
	uint32		nstarts;
	int			count;			/* of these that our ring has room for */
	bool		in_series;
	bool		named;
	PmOwner		owner;
}			reading;

static bool
read_ring(const PmRows *rows)
{
	RingRow		row = {0};
	char		name[32];

	if (rows->n != 1 || !pm_rows_have(rows, "resolution") || !pm_read_row(rows, 0, &row))
		return false;
	memset(&reading, 0, sizeof(reading));
	reading.in_ring = true;
	for (int r = 0; r < PM_NUM_RINGS; r++)
	{
		if (pm_history_rings->rings[r].resolution == row.resolution)
			reading.ring = &pm_history_rings->rings[r];
	}
	if (reading.ring == NULL)
	{
		snprintf(name, sizeof(name), "by %.0f s", row.resolution / 1000000.0);
		pm_leave_out("history", name);
	}
	return true;
}

/* In order, without which nobody finds one, and moments that can be shown? */
static bool
starts_make_sense(const PmRows *rows)
{
	TimestampTz last = DT_NOBEGIN;

	for (uint32 n = 0; n < rows->n; n++)
	{
		StartRow	row = {0};

		if (!pm_read_row(rows, n, &row) || !IS_VALID_TIMESTAMP(row.start) || row.start <= last)
			return false;
		last = row.start;
	}
	return true;
}

/* Only the newest stretches, if the ring is shorter now. */
static bool
read_starts(const PmRows *rows, bool dry)
{
	PmRing	   *ring = reading.ring;
	bool		ok = true;

	if (!reading.in_ring)
		return false;
	reading.nstarts = rows->n;
	if (ring == NULL)
		return true;
	if (dry)
		return starts_make_sense(rows);
	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	ring->count = reading.count = Min(rows->n, (uint32) ring->length);
	ring->head = Max(ring->count - 1, 0);
	for (int n = 0; n < reading.count && ok; n++)
		ok = pm_read_row(rows, rows->n - reading.count + n, &ring->starts[n]);
	LWLockRelease(&pm_history_rings->lock);
	return ok;
}

static bool
read_series(const PmRows *rows)
{
	SeriesRow	row = {{0}};

	if (!reading.in_ring || rows->n != 1 || !pm_rows_have(rows, "name"))
		return false;
	reading.in_series = true;
	reading.named = pm_read_row(rows, 0, &row);
	if (!reading.named)
		pm_leave_out("rows", "with texts that are too long");
	reading.owner = pm_owner_pool(row.name);
	reading.owner.discovered = row.discovered != 0;
	strlcpy(reading.owner.datname, row.datname, PM_NAME_LEN);
	strlcpy(reading.owner.usename, row.usename, PM_NAME_LEN);
	return pm_owner_can_be_shown(&reading.owner);
}

/* Caller holds the lock. */
static int
series_of(const PmOwner *owner)
{
	return owner->discovered ? pm_history_application(owner) : pm_history_series(owner->name);
}

/* us of all sessions there can be, in as many ms as "seen" can be; no NaN is in it. */
static bool
is_sum_of_times(double us)
{
	return us >= 0 && us <= 1000.0 * PG_UINT32_MAX * MAX_BACKENDS;
}

/* The same of what clients say, which has no bound but that of a bucket's many additions. */
static bool
is_reported_time(double us)
{
	return us >= 0 && us <= 1e30;
}

static bool
is_count(int32 count)
{
	return count >= 0 && count <= (int) MAX_BACKENDS;
}

static bool
buckets_make_sense(const PmRows *rows)
{
	for (uint32 n = 0; n < rows->n; n++)
	{
		PmBucket	bucket = {0};

		if (!pm_read_row(rows, n, &bucket) ||
			!is_sum_of_times(bucket.connections) || !is_sum_of_times(bucket.busy) ||
			!is_reported_time(bucket.waited) || !is_reported_time(bucket.checked_out) ||
			!is_reported_time(bucket.reported_open) ||
			!is_count(bucket.max_connections) || !is_count(bucket.max_busy))
			return false;
	}
	return true;
}

static bool
read_buckets(const PmRows *rows, bool dry)
{
	PmRing	   *ring = reading.ring;
	TimestampTz now = GetCurrentTimestamp();
	bool		ok = true;
	int			s;

	if (!reading.in_series || rows->n != reading.nstarts)
		return false;
	reading.in_series = false;
	if (ring == NULL || !reading.named)
		return true;
	if (dry)
		return buckets_make_sense(rows);
	LWLockAcquire(&pm_history_rings->lock, LW_EXCLUSIVE);
	s = series_of(&reading.owner);
	for (int n = 0; s >= 0 && n < reading.count && ok; n++)
	{
		PmBucket   *bucket = &ring->buckets[(Size) s * ring->length + n];

		ok = pm_read_row(rows, rows->n - reading.count + n, bucket);
		pm_history_weigh(s, bucket, now - ring->starts[n]);
	}
	LWLockRelease(&pm_history_rings->lock);
	return ok;
}

bool
pm_read_history(const PmRows *rows, bool dry)
{
	if (rows == NULL)
	{
		memset(&reading, 0, sizeof(reading));
		return true;
	}
	if (rows->layout == &pm_ring_layout)
		return read_ring(rows);
	if (rows->layout == &pm_start_layout)
		return read_starts(rows, dry);
	if (rows->layout == &pm_series_layout)
		return read_series(rows);
	return read_buckets(rows, dry);
}
