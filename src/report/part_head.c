/*
 * part_head.c
 *		The head of the page: what it is of, and of which time; and its foot.
 */
#include "postgres.h"

#include "report/parts.h"
#include "report/plot.h"
#include "report/words.h"
#include "utils/timestamp.h"

void
pm_report_begin(PmReport *report, PmDoc all)
{
	PmDoc		about = pm_doc_at(all, "report");

	report->all = all;
	report->pools = pm_doc_at(all, "pools");
	report->npools = Min(pm_doc_length(report->pools), PM_MOST_SHOWN);
	report->events = pm_doc_at(pm_doc_at(all, "events"), "last");
	report->since = pm_doc_time(about, "since");
	report->until = pm_doc_time(about, "until");
}

/* Plain text: whose pools these are. */
static void
put_whose(PmPage *page, const PmReport *report)
{
	char	   *cluster = pm_doc_text(pm_doc_at(report->all, "report"), "cluster_name");

	pm_html(page, "Connection pools");
	if (cluster != NULL && *cluster != '\0')
	{
		pm_html(page, " of ");
		pm_html_text(page, cluster);
	}
}

/* For the window: it is all that tells one file from another. */
void
pm_report_title(PmPage *page, const PmReport *report)
{
	put_whose(page, report);
	pm_htmlf(page, ", %s to %s", pm_moment_words(report->since, false), pm_moment_words(report->until, false));
}

/* ---- chips ---- */

const char *
pm_status_class(const char *status)
{
	static const char *const good[] = {"ok", "pass"};
	static const char *const warn[] = {"overflow", "overcommitted", "warn", "warning", "unknown", "info"};

	for (int i = 0; i < (int) lengthof(good); i++)
	{
		if (strcmp(status, good[i]) == 0)
			return "good";
	}
	for (int i = 0; i < (int) lengthof(warn); i++)
	{
		if (strcmp(status, warn[i]) == 0)
			return "warn";
	}
	return "bad";
}

void
pm_put_chip(PmPage *page, const char *status)
{
	if (status == NULL)
		return;
	pm_htmlf(page, "<span class=\"chip %s\">", pm_status_class(status));
	pm_html_text(page, status);
	pm_html(page, "</span>");
}

/* Of an array of which no more than this is shown. */
void
pm_put_rest(PmPage *page, PmDoc array, int shown)
{
	if (pm_doc_length(array) > shown)
		pm_htmlf(page, "<p class=\"soft\">And %d more, which are not shown.</p>\n", pm_doc_length(array) - shown);
}

/* ---- of which time, and what is not known of it ---- */

static double
seconds_watched(const PmReport *report)
{
	return pm_doc_seconds(pm_doc_at(pm_doc_at(report->all, "server"), "span"), "seen");
}

/* Is there a history of this time? */
bool
pm_report_is_watched(const PmReport *report)
{
	TimestampTz from = pm_doc_time(pm_doc_at(pm_doc_at(report->all, "server"), "curve"), "seen_from");

	return from != 0 && seconds_watched(report) > 0;
}

static void
put_span(PmPage *page, const PmReport *report)
{
	PmDoc		about = pm_doc_at(report->all, "report");

	pm_htmlf(page, "<p class=\"soft\">%s to %s (", pm_moment_words(report->since, false), pm_moment_words(report->until, false));
	pm_html_text(page, pg_get_timezone_name(session_timezone));
	pm_html(page, "), PostgreSQL ");
	pm_html_name(page, pm_doc_text(about, "server_version"));
	pm_html(page, ", pool_monitor ");
	pm_html_name(page, pm_doc_text(about, "version"));
	pm_htmlf(page, ". Made %s.</p>\n", pm_moment_words(pm_doc_time(about, "made_at"), true));
}

static void
put_watched(PmPage *page, const PmReport *report)
{
	PmDoc		server = pm_doc_at(report->all, "server");
	TimestampTz from = pm_doc_time(pm_doc_at(server, "curve"), "seen_from");
	double		seen = seconds_watched(report);
	double		span = ((double) report->until - report->since) / USECS_PER_SEC;
	char	   *loaded = pm_doc_text(report->all, "loaded");

	if (!pm_report_is_watched(report))
		pm_html(page, "<p class=\"warn\">There is no history of this time: nobody was watching, or it is no longer kept. What "
				"follows is of the moment at which this was made, and of the counters.</p>\n");
	else if (seen < 0.97 * span && from > report->since + 2.0 * USECS_PER_MINUTE)
		pm_htmlf(page, "<p class=\"warn\">Of this time %s was watched; the history begins at %s. What is hatched in the pictures "
				 "is not known.</p>\n", pm_share_words(seen / span), pm_moment_words(from, false));
	else if (seen < 0.97 * span)
		pm_htmlf(page, "<p class=\"warn\">Of this time %s was watched. What is hatched in the pictures is not known.</p>\n",
				 pm_share_words(seen / span));
	if (loaded != NULL && strcmp(loaded, "false") == 0)
		pm_html(page, "<p class=\"bad\">The declared pools have not been loaded since the server started.</p>\n");
}

/* A time at which what was counted before was lost, if there is one in the span. */
static void
put_lost(PmPage *page, const PmReport *report)
{
	int			n = pm_doc_length(report->events);

	for (int i = Max(n - PM_MOST_EVENTS, 0); i < n; i++)
	{
		PmDoc		event = pm_doc_item(report->events, i);
		char	   *name = pm_doc_text(event, "event");

		if (name != NULL && (strcmp(name, "statistics_lost") == 0 || strcmp(name, "clock_set_back") == 0))
		{
			pm_htmlf(page, "<p class=\"warn\">At %s %s", pm_moment_words(pm_doc_time(event, "at"), true),
					 strcmp(name, "statistics_lost") == 0 ?
					 "statistics were lost: what was counted and seen before is not, or not all, in here" :
					 "the clock was set back, and history was dropped");
			pm_html(page, ".</p>\n");
		}
	}
}

static void
put_help(PmPage *page)
{
	static const struct
	{
		const char *symbol;
		const char *said;
	}			symbols[] = {
		{"m-limit", "exhausted, over budget, starved, full"}, {"m-refused", "logins refused (no slot, or by the guard), rejected, not authenticated"},
		{"m-storm", "storm of connects"}, {"m-leak", "leak suspect"}, {"m-pause", "retirement paused"},
		{"m-change", "declarations loaded, or counters reset"}, {"m-start", "server started, statistics lost, clock set"},
		{"peak", "most connections"},
	};

	pm_html(page, "<details class=\"help\"><summary>How to read the pictures</summary><p class=\"soft\">Solid line: connections "
			"on average in each step; the shade around it goes from the least to the most of a moment, so that no peak is lost. "
			"Filled: busy connections on average (in a transaction); dotted line: the most that a look saw busy. Dashed: ceiling; "
			"dots: base; dash and dot: a budget of its own. Hatched: nobody was watching. The band below is the worst status in "
			"each step, higher for worse. Marks above are events; point at what is drawn and it says more.</p><p class=\"soft\">Waits by "
			"number of connections: the wait that 95 % of the checkouts do not exceed, by the queueing model (M/M/c) for random "
			"arrivals at the average load of this time, each process for itself; hatched: more than pool_timeout, or without end. "
			"<code>simulate()</code> replays what was measured. Distributions: each bar is one range of times, up to the bound that "
			"is written at its right edge.</p><ul class=\"key\">");
	for (int i = 0; i < (int) lengthof(symbols); i++)
		pm_htmlf(page, "<li><svg class=\"sw\" viewBox=\"-7 -7 14 14\" aria-hidden=\"true\"><use href=\"#%s\"/>"
				 "</svg>%s</li>", symbols[i].symbol, symbols[i].said);
	pm_html(page, "</ul></details>\n");
}

void
pm_part_head(PmPage *page, const PmReport *report)
{
	pm_html(page, "<header><h1>");
	put_whose(page, report);
	pm_html(page, "</h1>");
	put_span(page, report);
	put_watched(page, report);
	put_lost(page, report);
	pm_put_standing(page, report);
	pm_html(page, "<nav aria-label=\"Parts\"><a href=\"#server\">Server</a><a href=\"#pools\">Pools</a>"
			"<a href=\"#incidents\">Starved, refused, retired</a><a href=\"#events\">Events</a><a href=\"#advice\">Advice</a>"
			"<a href=\"#checklist\">Checklist</a><a href=\"#decisions\">Decisions</a></nav></header>\n");
	put_help(page);
}

void
pm_part_foot(PmPage *page, const PmReport *report)
{
	pm_html(page, "<footer class=\"soft\">Made by <code>pool_monitor.report()</code>; the same as data: "
			"<code>pool_monitor.report(format =&gt; 'json')</code>. Times are of the session's TimeZone. Averages and counts are "
			"exact, busy peaks and times in a status as sampled. Distributions and ends are since the last reset of the "
			"counters.</footer>\n");
}
