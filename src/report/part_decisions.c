/*
 * part_decisions.c
 *		What to do, and what was decided: advice, the checklist, the declarations.
 */
#include "postgres.h"

#include <math.h>

#include "report/parts.h"
#include "report/words.h"

#define MOST_ADVICE	100
#define MOST_ITEMS	100			/* of the checklist */

/* One that differs from that before in nothing but the setting that is proposed. */
static bool
goes_on(PmDoc finding, PmDoc before)
{
	static const char *const keys[] = {"pool", "finding", "evidence", "recommendation"};

	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		char	   *here = pm_doc_text(finding, keys[i]);
		char	   *there = pm_doc_text(before, keys[i]);

		if ((here == NULL) != (there == NULL) || (here != NULL && strcmp(here, there) != 0))
			return false;
	}
	return before != NULL;
}

static void
put_setting(PmPage *page, PmDoc finding)
{
	char	   *setting = pm_doc_text(finding, "setting");

	if (setting == NULL || !pm_doc_has(finding, "proposed"))
		return;
	pm_html(page, "<br><code>");
	pm_html_text(page, setting);
	pm_htmlf(page, "</code> %s &#8594; %s", pm_number_words(pm_doc_number(finding, "current")),
			 pm_number_words(pm_doc_number(finding, "proposed")));
}

static void
begin_finding(PmPage *page, PmDoc finding, const char *const *titles)
{
	char	   *pool = pm_doc_text(finding, "pool");

	pm_htmlf(page, "<tr><td data-of=\"%s\"><span>", titles[0]);
	pm_put_chip(page, pm_doc_text(finding, "severity"));
	pm_htmlf(page, "</span></td><td class=\"wide\" data-of=\"%s\"><span>", titles[1]);
	if (pool != NULL)
	{
		pm_html(page, "<b>");
		pm_html_name(page, pool);
		pm_html(page, "</b>: ");
	}
	pm_html_name(page, pm_doc_text(finding, "finding"));
	pm_html(page, "<br><span class=\"soft\">");
	pm_html_name(page, pm_doc_text(finding, "evidence"));
	pm_htmlf(page, "</span></span></td><td class=\"wide\" data-of=\"%s\"><span>", titles[2]);
	pm_html_name(page, pm_doc_text(finding, "recommendation"));
}

static void
put_findings(PmPage *page, PmDoc advice, int n, const char *const *titles)
{
	PmDoc		before = NULL;

	for (int i = 0; i < n; i++)
	{
		PmDoc		finding = pm_doc_item(advice, i);

		if (!goes_on(finding, before))
		{
			if (i > 0)
				pm_html(page, "</span></td></tr>\n");
			begin_finding(page, finding, titles);
		}
		put_setting(page, finding);
		before = finding;
	}
	pm_html(page, "</span></td></tr>\n");
}

static void
put_advice(PmPage *page, PmDoc advice)
{
	static const char *const titles[] = {"severity", "finding", "what to do"};
	int			n = Min(pm_doc_length(advice), MOST_ADVICE);

	pm_html(page, "<section id=\"advice\"><h2>Advice</h2>\n");
	if (n == 0)
		pm_html(page, "<p class=\"soft\">There is none.</p>");
	else
	{
		pm_table_begin(page, "Of the last day and hour when this was made, the gravest first", titles, lengthof(titles));
		put_findings(page, advice, n, titles);
		pm_table_end(page);
		if (pm_doc_length(advice) > n)
			pm_htmlf(page, "<p class=\"soft\">And %d more: <code>SELECT * FROM pool_monitor.advice</code>.</p>",
					 pm_doc_length(advice) - n);
	}
	pm_html(page, "</section>\n");
}

static void
put_checklist(PmPage *page, PmDoc checklist)
{
	static const char *const titles[] = {"item", "status", "evidence"};
	int			n = Min(pm_doc_length(checklist), MOST_ITEMS);

	pm_html(page, "<section id=\"checklist\"><h2>Checklist</h2>\n");
	pm_table_begin(page, "Before production, and after each change; of when this was made", titles, lengthof(titles));
	for (int i = 0; i < n; i++)
	{
		PmDoc		item = pm_doc_item(checklist, i);

		pm_html(page, "<tr>");
		pm_cell_name(page, titles[0], pm_doc_text(item, "title"));
		pm_htmlf(page, "<td data-of=\"%s\"><span>", titles[1]);
		pm_put_chip(page, pm_doc_text(item, "status"));
		pm_html(page, "</span></td>");
		pm_cell_name(page, titles[2], pm_doc_text(item, "evidence"));
		pm_html(page, "</tr>\n");
	}
	pm_table_end(page);
	pm_put_rest(page, checklist, n);
	pm_html(page, "</section>\n");
}

/* ---- declarations ---- */

/* Where there is no pattern: it takes every session, or its row was not read. */
static const char *
without_pattern(PmDoc declared)
{
	const char *written = pm_doc_text(declared, "written");

	if (written != NULL && strcmp(written, "here") == 0)
		return "any session";
	if (written != NULL && strcmp(written, "locked") == 0)
		return "not known: somebody had a lock on the table pools";
	return "not in this database's pools";
}

/* Whose sessions are its own. */
static void
put_matching(PmPage *page, PmDoc declared)
{
	static const char *const keys[] = {"application_name", "usename", "datname", "client_addr"};
	int			n = 0;

	pm_html(page, "<td class=\"wide\" data-of=\"matches\"><span>");
	for (int i = 0; i < (int) lengthof(keys); i++)
	{
		char	   *pattern = pm_doc_text(declared, keys[i]);

		if (pattern == NULL)
			continue;
		pm_htmlf(page, "%s%s <code>", n++ > 0 ? ", " : "", keys[i]);
		pm_html_name(page, pattern);
		pm_html(page, "</code>");
	}
	pm_html(page, n == 0 ? without_pattern(declared) : "");
	pm_html(page, "</span></td>");
}

static void
put_policy(PmPage *page, PmDoc declared)
{
	char	   *mode = pm_doc_text(declared, "recycle_mode");
	char	   *window = pm_doc_text(declared, "recycle_window");
	double		surge = pm_doc_number(declared, "surge");

	pm_html(page, "<td class=\"wide\" data-of=\"policy\"><span>time-out ");
	pm_htmlf(page, "%s, recycle %s, ", pm_seconds_words(pm_doc_seconds(declared, "pool_timeout")),
			 pm_doc_has(declared, "pool_recycle") ? pm_seconds_words(pm_doc_seconds(declared, "pool_recycle")) : "never");
	pm_html(page, "retirement ");
	pm_html_name(page, mode);
	if (window != NULL)
	{
		pm_html(page, " in ");
		pm_html_name(page, window);
	}
	if (surge > 0)
		pm_htmlf(page, ", surge %s %%", pm_number_words(surge));
	pm_html(page, "</span></td>");
}

static void
put_declared(PmPage *page, PmDoc pool, const char *const *titles)
{
	PmDoc		declared = pm_doc_at(pool, "declared");
	PmDoc		capacity = pm_doc_at(pool, "capacity");

	pm_html(page, "<tr>");
	pm_cell_name(page, titles[0], pm_doc_text(pool, "pool"));
	pm_cell_name(page, titles[1], pm_doc_has(declared, "description") ? pm_doc_text(declared, "description") : NULL);
	pm_cell(page, titles[2], !pm_doc_has(capacity, "concurrent") ? "no ceiling" :
			psprintf("%s: %s processes, %s each", pm_number_words(pm_doc_number(capacity, "concurrent")),
					 pm_number_words(pm_doc_number(capacity, "processes")), pm_number_words(pm_doc_number(capacity, "each"))));
	pm_cell(page, titles[3], pm_number_words(pm_doc_number(declared, "budget")));
	put_policy(page, declared);
	put_matching(page, declared);
	pm_html(page, "</tr>\n");
}

static void
put_decisions(PmPage *page, const PmReport *report)
{
	static const char *const titles[] = {"pool", "why", "carries at once", "budget", "policy", "matches"};
	PmScratch	scratch;

	pm_html(page, "<section id=\"decisions\"><h2>Decisions: what is declared, and why</h2>\n");
	if (report->npools == 0)
	{
		pm_html(page, "<p class=\"soft\">Nothing is declared.</p></section>\n");
		return;
	}
	pm_table_begin(page, "Why is the description that was written beside it", titles, lengthof(titles));
	pm_scratch_begin(&scratch);
	for (int i = 0; i < report->npools; i++)
	{
		pm_scratch_next(&scratch);
		put_declared(page, pm_doc_item(report->pools, i), titles);
	}
	pm_scratch_end(&scratch);
	pm_table_end(page);
	pm_put_rest(page, report->pools, report->npools);
	pm_html(page, "</section>\n");
}

void
pm_part_decisions(PmPage *page, const PmReport *report)
{
	put_advice(page, pm_doc_at(report->all, "advice"));
	put_checklist(page, pm_doc_at(report->all, "checklist"));
	put_decisions(page, report);
}
