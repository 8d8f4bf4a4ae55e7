/*
 * part_standing.c
 *		What stands out, in the head of the page.
 *
 * It is told in the order in which one would act on it, what is bad before what is not, and
 * goes by what was measured in the span, but for the status and the advice, which are of the
 * moment at which the report was made.
 */
#include "postgres.h"

#include <math.h>

#include "report/parts.h"
#include "report/words.h"

#define MOST_TOLD	12			/* pools, one by one */

/* Sentences, as many as there is room for, what is bad before the others; the rest is counted. */
typedef struct Standing
{
	PmPage		bad;
	PmPage		others;
	int			n;
	int			left_out;
	bool		is_bad;
} Standing;

/* Where it is to be written; NULL: there is no room, and it is counted. */
static PmPage *
begin_item(Standing *standing, bool is_bad)
{
	PmPage	   *items = is_bad ? &standing->bad : &standing->others;

	standing->is_bad |= is_bad;
	if (standing->n == MOST_TOLD)
	{
		standing->left_out++;
		return NULL;
	}
	standing->n++;
	pm_htmlf(items, "<li><b class=\"%s\">%s</b>", is_bad ? "bad" : "warn", is_bad ? "!" : "&#8226;");
	return items;
}

/* A document that lacks what trouble would be told by is no sign that there was none. */
static void
add_missing(Standing *standing, const PmReport *report)
{
	static const char *const needed[] = {"health", "server", "pools", "advice"};
	PmPage	   *items = NULL;

	for (int i = 0; i < (int) lengthof(needed); i++)
	{
		if (pm_doc_at(report->all, needed[i]) != NULL)
			continue;
		if (items == NULL && (items = begin_item(standing, true)) != NULL)
			pm_html(items, "This is not a whole document of report_data(). Nothing is known of what it lacks: ");
		else if (items != NULL)
			pm_html(items, ", ");
		if (items != NULL)
			pm_html(items, needed[i]);
	}
	if (items != NULL)
		pm_html(items, ".</li>");
}

static void
add_health(Standing *standing, const PmReport *report)
{
	char	   *status = pm_doc_text(pm_doc_at(report->all, "health"), "status");
	PmDoc		server = pm_doc_at(report->all, "server");
	PmPage	   *items;

	if (status != NULL && strcmp(status, "ok") != 0 && (items = begin_item(standing, true)) != NULL)
	{
		pm_html(items, "The monitor itself is not well: ");
		pm_html_text(items, status);
		pm_html(items, ".</li>");
	}
	status = pm_doc_text(server, "status");
	if (status != NULL && strcmp(status, "ok") != 0 &&
		(items = begin_item(standing, strcmp(status, "overcommitted") != 0)) != NULL)
	{
		pm_html(items, "The server is ");
		pm_html_text(items, status);
		pm_htmlf(items, ": %s of %s usable slots are taken; declared budgets %s, connection budget %s.</li>",
				 pm_number_words(pm_doc_number(server, "connections")), pm_number_words(pm_doc_number(server, "usable")),
				 pm_doc_has(server, "declared_budget") ? pm_number_words(pm_doc_number(server, "declared_budget")) : "without bound",
				 pm_number_words(pm_doc_number(server, "connection_budget")));
	}
}

static void
add_refusals(Standing *standing, const PmReport *report)
{
	PmDoc		span = pm_doc_at(pm_doc_at(report->all, "server"), "span");
	double		refused = pm_doc_count(span, "refused");
	double		guarded = pm_doc_count(span, "guarded");
	PmPage	   *items;

	if (refused > 0 && (items = begin_item(standing, true)) != NULL)
		pm_htmlf(items, "%s %s refused because the server was full: <a href=\"#incidents\">whose</a>.</li>",
				 pm_number_words(refused), refused == 1 ? "login was" : "logins were");
	if (guarded > 0 && (items = begin_item(standing, true)) != NULL)
		pm_htmlf(items, "%s %s refused by the guard, to keep pools to their limits: <a href=\"#incidents\">whose</a>.</li>",
				 pm_number_words(guarded), guarded == 1 ? "login was" : "logins were");
}

/* In this condition for so long. */
static double
time_in(PmDoc span, const char *share)
{
	double		seconds = pm_doc_seconds(span, "seen") * pm_doc_number(span, share);

	return isnan(seconds) ? 0 : seconds;
}

static void
add_pool(Standing *standing, PmDoc pool, int place)
{
	static const struct
	{
		const char *share;
		const char *said;
	}			conditions[] = {
		{"starved_share", "was starved (logins refused below its budget) for"}, {"over_share", "was over its budget for"},
		{"exhausted_share", "had all busy for"}
	};
	PmDoc		span = pm_doc_at(pool, "span");
	double		timeouts = pm_doc_count(span, "checkout_timeouts");
	PmPage	   *items = NULL;
	bool		is_told = false;

	for (int i = 0; i <= (int) lengthof(conditions); i++)
	{
		double		seconds = i < (int) lengthof(conditions) ? time_in(span, conditions[i].share) : timeouts;

		if (seconds <= 0)
			continue;
		if (!is_told && (items = begin_item(standing, true)) == NULL)
			return;
		if (!is_told)
		{
			pm_htmlf(items, "<a href=\"#pool%d\">", place);
			pm_html_name(items, pm_doc_text(pool, "pool"));
			pm_html(items, "</a> ");
		}
		pm_html(items, is_told ? ", " : "");
		if (i < (int) lengthof(conditions))
			pm_htmlf(items, "%s %s", conditions[i].said, pm_seconds_words(seconds));
		else
			pm_htmlf(items, "had %s checkouts that timed out", pm_number_words(timeouts));
		is_told = true;
	}
	if (is_told)
		pm_html(items, ".</li>");
}

static void
add_advice(Standing *standing, const PmReport *report)
{
	PmDoc		advice = pm_doc_at(report->all, "advice");
	int			critical = 0;
	int			warnings = 0;
	PmPage	   *items;
	PmScratch	scratch;

	pm_scratch_begin(&scratch);
	for (int i = 0; i < pm_doc_length(advice); i++)
	{
		char	   *severity;

		pm_scratch_next(&scratch);
		severity = pm_doc_text(pm_doc_item(advice, i), "severity");
		critical += severity != NULL && strcmp(severity, "critical") == 0;
		warnings += severity != NULL && strcmp(severity, "warning") == 0;
	}
	pm_scratch_end(&scratch);
	if (critical + warnings > 0 && (items = begin_item(standing, critical > 0)) != NULL)
		pm_htmlf(items, "<a href=\"#advice\">Advice</a>: %d critical, %d %s.</li>", critical, warnings,
				 warnings == 1 ? "warning" : "warnings");
}

void
pm_put_standing(PmPage *page, const PmReport *report)
{
	Standing	standing = {0};
	PmScratch	scratch;

	initStringInfo(&standing.bad.out);
	initStringInfo(&standing.others.out);
	add_missing(&standing, report);
	add_health(&standing, report);
	add_refusals(&standing, report);
	pm_scratch_begin(&scratch);
	for (int i = 0; i < report->npools; i++)
	{
		pm_scratch_next(&scratch);
		add_pool(&standing, pm_doc_item(report->pools, i), i);
	}
	pm_scratch_end(&scratch);
	add_advice(&standing, report);
	if (standing.left_out > 0)
		pm_htmlf(&standing.others, "<li>And %d more.</li>", standing.left_out);
	if (standing.n == 0)
		pm_html(&standing.others, pm_report_is_watched(report) ?
				"<li>Nothing was short in this time, and nothing is to be advised.</li>" :
				"<li>Nothing is known of this time; and nothing is to be advised now.</li>");
	pm_htmlf(page, "<ul class=\"stands%s\">%s%s</ul>\n", standing.is_bad ? " is-bad" : "", standing.bad.out.data,
			 standing.others.out.data);
}
