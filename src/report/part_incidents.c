/*
 * part_incidents.c
 *		What happened: who starved whom, who was refused, who was retired, and the events.
 */
#include "postgres.h"

#include <math.h>

#include "report/parts.h"
#include "report/words.h"
#include "utils/timestamp.h"

#define MOST_ROWS	60
#define MOST_DETAILS	30

/* ---- who starved whom ---- */

/* Those who held most that was not busy. */
static void
put_holders(PmPage *page, PmDoc holders)
{
	int			n = Min(pm_doc_length(holders), MOST_DETAILS);

	for (int i = 0; i < n; i++)
	{
		PmDoc		holder = pm_doc_item(holders, i);
		char	   *pool = pm_doc_text(holder, "pool");

		pm_html(page, i > 0 ? "; " : "");
		if (pool != NULL)
			pm_html_name(page, pool);
		else
		{
			pm_html_name(page, pm_doc_text(holder, "application"));
			pm_html(page, " of role ");
			pm_html_name(page, pm_doc_text(holder, "usename"));
		}
		pm_htmlf(page, " %s, %s busy", pm_number_words(pm_doc_number(holder, "connections")),
				 pm_number_words(pm_doc_number(holder, "busy")));
	}
	if (n == 0)
		pm_html(page, "not known");
	else if (pm_doc_length(holders) > n)
		pm_htmlf(page, "; and %d more", pm_doc_length(holders) - n);
}

static void
put_starved(PmPage *page, PmDoc starved)
{
	static const char *const titles[] = {"when", "who", "had", "for", "who held most that was not busy"};
	int			n = Min(pm_doc_length(starved), MOST_ROWS);

	pm_html(page, "<h3>Who starved whom</h3>");
	if (n == 0)
	{
		pm_html(page, "<p class=\"soft\">Nobody was starved in this time.</p>\n");
		return;
	}
	pm_table_begin(page, "Pools whose logins were refused below their budget, because others had filled the server", titles,
				   lengthof(titles));
	for (int i = 0; i < n; i++)
	{
		PmDoc		one = pm_doc_item(starved, i);
		PmDoc		detail = pm_doc_at(one, "detail");
		double		seconds = pm_doc_number(pm_doc_at(one, "ended"), "seconds");

		pm_html(page, "<tr>");
		pm_cell(page, titles[0], pm_moment_words(pm_doc_time(one, "at"), true));
		pm_cell_name(page, titles[1], pm_doc_text(one, "pool"));
		pm_cell(page, titles[2], psprintf("%s of %s", pm_number_words(pm_doc_number(detail, "connections")),
										  pm_number_words(pm_doc_number(detail, "budget"))));
		pm_cell(page, titles[3], isnan(seconds) ? "not over" : pm_seconds_words(seconds));
		pm_html(page, "<td class=\"wide\" data-of=\"held by\"><span>");
		put_holders(page, pm_doc_at(one, "holders"));
		pm_html(page, "</span></td></tr>\n");
	}
	pm_table_end(page);
}

/* ---- who was refused ---- */

static bool
was_turned_away(PmDoc work)
{
	return pm_doc_count(work, "refused") + pm_doc_count(work, "guarded") + pm_doc_count(work, "rejected") +
		pm_doc_count(work, "auth_failures") > 0;
}

static void
begin_refused(PmPage *page, int *n, const char *const *titles)
{
	if ((*n)++ == 0)
		pm_table_begin(page, "Logins that came to nothing in this time", titles, 6);
	pm_html(page, "<tr>");
}

static void
put_refused(PmPage *page, const PmReport *report)
{
	static const char *const titles[] = {"who", "role", "refused: no slot", "refused by the guard", "rejected", "not authenticated"};
	PmDoc		holders = pm_doc_at(report->all, "holders");
	PmScratch	scratch;
	int			n = 0;

	pm_html(page, "<h3>Who was turned away</h3>");
	for (int i = 0; i < report->npools && n < MOST_ROWS; i++)
	{
		PmDoc		pool = pm_doc_item(report->pools, i);
		PmDoc		span = pm_doc_at(pool, "span");

		if (!was_turned_away(span))
			continue;
		begin_refused(page, &n, titles);
		pm_cell_name(page, titles[0], pm_doc_text(pool, "pool"));
		pm_cell(page, titles[1], "-");
		pm_cell(page, titles[2], pm_number_words(pm_doc_number(span, "refused")));
		pm_cell(page, titles[3], pm_number_words(pm_doc_number(span, "guarded")));
		pm_cell(page, titles[4], pm_number_words(pm_doc_number(span, "rejected")));
		pm_cell(page, titles[5], pm_number_words(pm_doc_number(span, "auth_failures")));
		pm_html(page, "</tr>\n");
	}
	pm_scratch_begin(&scratch);
	for (int i = 0; i < pm_doc_length(holders) && n < MOST_ROWS; i++)
	{
		PmDoc		holder;

		pm_scratch_next(&scratch);
		holder = pm_doc_item(holders, i);
		if (!pm_doc_has(holder, "application_name") || pm_doc_count(holder, "refused") + pm_doc_count(holder, "guarded") == 0)
			continue;
		begin_refused(page, &n, titles);
		pm_cell_name(page, titles[0], pm_doc_text(holder, "application_name"));
		pm_cell_name(page, titles[1], pm_doc_text(holder, "usename"));
		pm_cell(page, titles[2], pm_number_words(pm_doc_number(holder, "refused")));
		pm_cell(page, titles[3], pm_number_words(pm_doc_number(holder, "guarded")));
		pm_cell(page, titles[4], "not known");
		pm_cell(page, titles[5], "not known");
		pm_html(page, "</tr>\n");
	}
	pm_scratch_end(&scratch);
	if (n > 0)
		pm_table_end(page);
	else
		pm_html(page, "<p class=\"soft\">Nobody that is known by name was turned away in this time.</p>\n");
}

/* ---- who was retired ---- */

static void
put_reasons(PmPage *page, PmDoc reasons)
{
	pm_html(page, "<td class=\"wide\" data-of=\"why declined\"><span>");
	for (int i = 0; i < Min(pm_doc_size(reasons), MOST_DETAILS); i++)
	{
		char	   *reason;

		(void) pm_doc_object(reasons, i, &reason);
		pm_html(page, i > 0 ? ", " : "");
		pm_html_text(page, reason);
		pm_htmlf(page, " %s", pm_number_words(pm_doc_number(reasons, reason)));
	}
	pm_html(page, pm_doc_size(reasons) == 0 ? "-</span></td>" : "</span></td>");
}

static void
put_retired(PmPage *page, const PmReport *report)
{
	static const char *const titles[] = {"pool", "mode", "retired", "since reset", "of these late", "declined", "why declined"};
	int			n = 0;

	pm_html(page, "<h3>Retirements, and what was declined</h3>");
	for (int i = 0; i < report->npools; i++)
	{
		PmDoc		pool = pm_doc_item(report->pools, i);
		PmDoc		counted = pm_doc_at(pool, "counted");
		double		retired = pm_doc_count(pm_doc_at(pool, "span"), "retired");

		if (retired + pm_doc_count(counted, "retired") + pm_doc_count(counted, "declined") == 0)
			continue;
		if (n++ == 0)
			pm_table_begin(page, "Stale sessions that ended themselves when they were asked; declined since the last reset", titles,
						   lengthof(titles));
		pm_html(page, "<tr>");
		pm_cell_name(page, titles[0], pm_doc_text(pool, "pool"));
		pm_cell_name(page, titles[1], pm_doc_text(pm_doc_at(pool, "declared"), "recycle_mode"));
		pm_cell(page, titles[2], pm_number_words(retired));
		pm_cell(page, titles[3], pm_number_words(pm_doc_number(counted, "retired")));
		pm_cell(page, titles[4], pm_number_words(pm_doc_number(counted, "retired_late")));
		pm_cell(page, titles[5], pm_number_words(pm_doc_number(counted, "declined")));
		put_reasons(page, pm_doc_at(counted, "declined_reasons"));
		pm_html(page, "</tr>\n");
	}
	if (n > 0)
		pm_table_end(page);
	else
		pm_html(page, "<p class=\"soft\">No session was retired, and none declined.</p>\n");
}

void
pm_part_incidents(PmPage *page, const PmReport *report)
{
	pm_html(page, "<section id=\"incidents\"><h2>Starved, refused, retired</h2>\n");
	put_starved(page, pm_doc_at(pm_doc_at(report->all, "events"), "starved"));
	put_refused(page, report);
	put_retired(page, report);
	pm_html(page, "</section>\n");
}

/* ---- events ---- */

static void
put_detail(PmPage *page, PmDoc detail)
{
	int			shown = 0;

	for (int i = 0; i < Min(pm_doc_size(detail), MOST_DETAILS); i++)
	{
		char	   *key;
		PmDoc		inner = pm_doc_object(detail, i, &key);
		char	   *value = pm_doc_text(detail, key);

		if (inner == NULL && value == NULL)
			continue;
		pm_html(page, shown++ > 0 ? ", " : "");
		pm_html_text(page, key);
		pm_html(page, " ");
		if (inner != NULL)
			put_holders(page, inner);
		else
			pm_html_name(page, value);
	}
}

static void
put_event(PmPage *page, PmDoc event, const char *const *titles)
{
	char	   *pool = pm_doc_text(event, "pool");
	char	   *application = pm_doc_text(event, "application_name");
	double		times = pm_doc_number(event, "times");

	pm_html(page, "<tr>");
	pm_cell(page, titles[0], pm_moment_words(pm_doc_time(event, "at"), true));
	pm_htmlf(page, "<td data-of=\"%s\"><span>", titles[1]);
	if (pool == NULL && application == NULL)
		pm_html(page, "server");
	else
		pm_html_name(page, pool != NULL ? pool : application);
	pm_htmlf(page, "</span></td><td data-of=\"%s\"><span>", titles[2]);
	pm_html_text(page, pm_doc_text(event, "event") ? pm_doc_text(event, "event") : "-");
	if (times > 1)
		pm_htmlf(page, " (%s times)", pm_number_words(times));
	pm_htmlf(page, "</span></td><td class=\"wide\" data-of=\"%s\"><span>", titles[3]);
	put_detail(page, pm_doc_at(event, "detail"));
	pm_html(page, "</span></td></tr>\n");
}

static void
put_counts(PmPage *page, PmDoc counts)
{
	pm_html(page, "<ul class=\"key\">");
	for (int i = 0; i < Min(pm_doc_length(counts), 4 * MOST_ROWS); i++)
	{
		PmDoc		count = pm_doc_item(counts, i);
		char	   *pool = pm_doc_text(count, "pool");

		pm_html(page, "<li>");
		pm_html_text(page, pm_doc_text(count, "event") ? pm_doc_text(count, "event") : "-");
		if (pool != NULL)
		{
			pm_html(page, " ");
			pm_html_name(page, pool);
		}
		pm_htmlf(page, " %s</li>", pm_number_words(pm_doc_number(count, "times")));
	}
	pm_html(page, "</ul>\n");
}

/* The last ones first. */
void
pm_part_events(PmPage *page, const PmReport *report)
{
	static const char *const titles[] = {"when", "who", "event", "detail"};
	int			n = pm_doc_length(report->events);
	int			first = Max(n - MOST_ROWS, 0);

	pm_html(page, "<section id=\"events\"><h2>Events</h2>\n");
	if (n == 0)
		pm_html(page, "<p class=\"soft\">No event of this time is kept.</p>\n");
	else
	{
		put_counts(page, pm_doc_at(pm_doc_at(report->all, "events"), "counts"));
		pm_table_begin(page, first > 0 ? psprintf("The last %d of %d, without retirements; the counts above are of all that are kept",
												  n - first, n) : "Without retirements", titles, lengthof(titles));
		for (int i = n - 1; i >= first; i--)
			put_event(page, pm_doc_item(report->events, i), titles);
		pm_table_end(page);
	}
	pm_html(page, "</section>\n");
}
