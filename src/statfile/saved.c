/*
 * saved.c
 *		All that is in the file of statistics.
 */
#include "postgres.h"

#include "statfile/saved.h"
#include "statfile/saved_accounts.h"
#include "statfile/saved_events.h"
#include "statfile/saved_history.h"
#include "statfile/statrows.h"

static const PmLayout *const layouts[] = {
	&pm_account_layout, &pm_lifetime_layout, &pm_hold_layout, &pm_setup_layout,
	&pm_ring_layout, &pm_start_layout, &pm_series_layout, &pm_bucket_layout,
	&pm_event_layout,
};

StaticAssertDecl(lengthof(layouts) <= PM_MOST_LAYOUTS, "PM_MOST_LAYOUTS is too small");

const PmLayouts pm_saved_layouts = {.n = lengthof(layouts),.of = layouts};

void
pm_put_saved(PmWriter *writer)
{
	pm_put_layouts(writer);
	pm_put_accounts(writer);
	pm_put_history(writer);
	pm_put_events(writer);
}

static bool
read_rows(const PmRows *rows, bool dry)
{
	if (rows == NULL)
		return pm_read_account(NULL, dry) && pm_read_history(NULL, dry) && pm_read_events(NULL, dry);
	if (rows->layout == &pm_event_layout)
		return pm_read_events(rows, dry);
	if (rows->layout == &pm_account_layout)
		return pm_read_account(rows, dry);
	if (rows->layout == &pm_lifetime_layout || rows->layout == &pm_hold_layout ||
		rows->layout == &pm_setup_layout)
		return pm_read_account_times(rows, dry);
	return pm_read_history(rows, dry);
}

bool
pm_read_saved(const char *body, uint64 length, bool dry)
{
	/* what a body that made no sense has left */
	(void) read_rows(NULL, true);
	return pm_read_body(body, length, &pm_saved_layouts, read_rows, dry);
}
