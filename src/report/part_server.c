/*
 * part_server.c
 *		The server: its slots and who may have, and has, them; its curve; who held most; and
 *		what is in no declared pool.
 */
#include "postgres.h"

#include <math.h>

#include "report/bars.h"
#include "report/parts.h"
#include "report/plot.h"
#include "report/words.h"

#define TICKS_ACROSS	9
#define TICKS_UP		4
#define MOST_HOLDERS	15
#define MOST_BUDGETS	3		/* times the slots, as wide as they are drawn */

/* ---- a curve, with what is written below it ---- */

static const char *const pool_bands[PM_NUM_BANDS] = {"", "", "ok", "above base", "all busy", "over budget", "starved"};
static const char *const server_bands[PM_NUM_BANDS] = {"", "", "ok", "", "no slot free", "over the connection budget", "full"};

/* What was in the band, with how long: conditions may have held at once. */
static void
put_band_key(PmPage *page, const char *const *names, PmDoc span)
{
	static const char *const shares[PM_NUM_BANDS] = {
		NULL, NULL, NULL, "overflow_share", "exhausted_share", "over_share", "starved_share"
	};

	pm_html(page, "<ul class=\"key\"><li>Band:</li><li><svg class=\"sw\" aria-hidden=\"true\">"
			"<rect class=\"b2\" y=\"8\" width=\"14\" height=\"3\"/></svg>ok</li>");
	for (int b = PM_BAND_OVERFLOW; b < PM_NUM_BANDS; b++)
	{
		double		seconds = pm_doc_seconds(span, "seen") * pm_doc_number(span, shares[b]);

		if (seconds > 0)
			pm_htmlf(page, "<li><svg class=\"sw\" aria-hidden=\"true\"><rect class=\"w b%d\"/></svg>%s %s</li>", b, names[b], pm_seconds_words(seconds));
	}
	pm_html(page, "</ul>");
}

/* whose: an object with a curve, and declared or the server's limits. */
void
pm_curve_figure(PmPage *page, const PmReport *report, PmDoc whose, const char *name)
{
	PmDoc		declared = pm_doc_at(whose, "declared");
	bool		is_server = pm_doc_has(whose, "usable");
	PmPlot		plot = {.name = name,.events = declared != NULL || is_server ? report->events : NULL};

	if (!pm_picture_of(pm_doc_at(whose, "curve"), TICKS_ACROSS, &plot.picture) || pm_picture_is_empty(&plot.picture))
	{
		pm_html(page, "<p class=\"soft\">There is no history of it in this time.</p>\n");
		return;
	}
	plot.bands = declared != NULL ? pool_bands : is_server ? server_bands : NULL;
	plot.pool = declared != NULL ? name : NULL;
	if (declared != NULL)
		pm_picture_pool_limits(&plot.picture, declared);
	else if (is_server)
	{
		pm_picture_limit(&plot.picture, "usable", pm_doc_number(whose, "usable"));
		pm_picture_limit(&plot.picture, "budget", pm_doc_number(whose, "connection_budget"));
	}
	pm_picture_scale(&plot.picture, TICKS_UP);
	pm_html(page, "<figure>");
	pm_plot(page, &plot);
	pm_htmlf(page, "<figcaption>Line: connections (shade: least to most). Filled: busy (dotted: most).%s%s</figcaption>",
			 plot.picture.unseen > 1 ? " Hatched: nobody was watching." : "",
			 plot.picture.undeclared > 0 ? " Dots: it was not declared." : "");
	if (plot.bands != NULL)
		put_band_key(page, plot.bands, pm_doc_at(whose, "span"));
	pm_html(page, "</figure>\n");
}

/* ---- slots ---- */

/* A pool, by its place in the document. */
typedef struct Slice
{
	char	   *name;
	double		budget;			/* 0: without bound */
	double		now;
	int			shade;
} Slice;

static int
by_budget(const void *a, const void *b)
{
	const Slice *left = a;
	const Slice *right = b;

	if (left->budget != right->budget)
		return left->budget > right->budget ? -1 : 1;
	return left->now > right->now ? -1 : left->now < right->now;
}

/* The largest have a shade each; the others one together, which comes last. */
static Slice *
read_slices(const PmReport *report, int *n)
{
	Slice	   *slices;

	*n = report->npools;
	slices = palloc0((*n + 1) * sizeof(Slice));
	for (int i = 0; i < *n; i++)
	{
		PmDoc		pool = pm_doc_item(report->pools, i);

		slices[i].name = pm_doc_text(pool, "pool");
		slices[i].budget = pm_doc_count(pm_doc_at(pool, "declared"), "budget");
		slices[i].now = pm_doc_count(pm_doc_at(pool, "now"), "connections");
	}
	qsort(slices, *n, sizeof(Slice), by_budget);
	for (int i = 0; i < *n; i++)
		slices[i].shade = Min(i, PM_SHADES);
	if (*n <= PM_SHADES)
		return slices;
	for (int i = PM_SHADES + 1; i < *n; i++)
	{
		slices[PM_SHADES].budget += slices[i].budget;
		slices[PM_SHADES].now += slices[i].now;
	}
	slices[PM_SHADES].name = psprintf("%d other pools", *n - PM_SHADES);
	slices[PM_SHADES].shade = PM_SHADE_OTHER;
	*n = PM_SHADES + 1;
	return slices;
}

static void
put_stack(PmPage *page, const char *what, const Slice *slices, int n, bool of_now, double others, double whole, double mark)
{
	PmStackPart *parts = palloc((n + 1) * sizeof(PmStackPart));

	for (int i = 0; i < n; i++)
	{
		double		size = of_now ? slices[i].now : slices[i].budget;

		parts[i] = (PmStackPart)
		{
			size, slices[i].shade, psprintf("%s: %s", slices[i].name ? slices[i].name : "", pm_number_words(size))
		};
	}
	parts[n] = (PmStackPart)
	{
		others, PM_SHADE_REST, psprintf("in no declared pool: %s", pm_number_words(others))
	};
	pm_htmlf(page, "<h4>%s</h4>", what);
	pm_stack(page, what, parts, n + 1, whole, mark);
}

static void
put_slots(PmPage *page, PmDoc server, double whole)
{
	double		usable = pm_doc_count(server, "usable");
	double		reserved = pm_doc_count(server, "reserved");
	double		budget = Min(pm_doc_count(server, "connection_budget"), usable);
	PmStackPart parts[] = {
		{budget, 7, psprintf("connection budget: %s", pm_number_words(budget))},
		{usable - budget, PM_SHADE_REST, psprintf("kept free: %s", pm_number_words(usable - budget))},
		{reserved, PM_SHADE_OTHER, psprintf("reserved: %s", pm_number_words(reserved))}
	};
	char	   *title = psprintf("%s slots: %s to be used (connection budget), %s kept free, %s reserved",
								 pm_number_words(pm_doc_number(server, "max_connections")), pm_number_words(budget),
								 pm_number_words(usable - budget), pm_number_words(reserved));

	pm_htmlf(page, "<h4>%s</h4>", title);
	pm_stack(page, title, parts, lengthof(parts), whole, budget);
}

static void
put_slice_key(PmPage *page, const Slice *slices, int n, double others)
{
	pm_html(page, "<ul class=\"key\">");
	for (int i = 0; i < n; i++)
	{
		pm_html(page, "<li>");
		pm_swatch(page, slices[i].shade);
		pm_html_name(page, slices[i].name);
		pm_htmlf(page, ": %s now, budget %s</li>", pm_number_words(slices[i].now),
				 slices[i].budget > 0 ? pm_number_words(slices[i].budget) : "without bound");
	}
	pm_html(page, "<li>");
	pm_swatch(page, PM_SHADE_REST);
	pm_htmlf(page, "in no declared pool: %s now</li></ul>\n", pm_number_words(others));
}

static void
put_headroom(PmPage *page, const PmReport *report, PmDoc server)
{
	int			n;
	Slice	   *slices = read_slices(report, &n);
	double		mark = Min(pm_doc_count(server, "connection_budget"), pm_doc_count(server, "usable"));
	double		whole = pm_doc_count(server, "max_connections");
	double		budgets = 0;
	int			unbounded = 0;
	double		others = pm_doc_count(server, "undeclared");
	char	   *title;

	for (int i = 0; i < n; i++)
	{
		budgets += slices[i].budget;
		unbounded += slices[i].budget == 0;
	}
	whole = Max(whole, Min(budgets, MOST_BUDGETS * whole));
	put_slots(page, server, whole);
	title = psprintf("Declared budgets: %s%s%s%s", pm_number_words(budgets), budgets > mark ? ", more than the connection budget" : "",
					 unbounded > 0 ? ", and some without bound" : "", budgets > whole ? "; the bar is cut" : "");
	put_stack(page, title, slices, n, false, 0, whole, mark);
	put_stack(page, psprintf("Connections now: %s", pm_number_words(pm_doc_number(server, "connections"))), slices, n, true,
			  others, whole, mark);
	put_slice_key(page, slices, n, others);
	pm_put_rest(page, report->pools, report->npools);
}

/* ---- who had them ---- */

static void
put_holder_names(PmPage *page, PmDoc holder)
{
	char	   *pool = pm_doc_text(holder, "pool");
	char	   *application = pm_doc_text(holder, "application_name");

	pm_html(page, "<td data-of=\"who\"><span>");
	if (pool != NULL)
		pm_html_name(page, pool);
	else
	{
		pm_html_name(page, application);
		pm_html(page, " <span class=\"soft\">role ");
		pm_html_name(page, pm_doc_text(holder, "usename"));
		pm_html(page, " in ");
		pm_html_name(page, pm_doc_text(holder, "datname"));
		pm_html(page, "</span>");
	}
	pm_html(page, "</span></td>");
}

static void
put_at_peak(PmPage *page, const PmReport *report, PmDoc server)
{
	static const char *const titles[] = {"who", "connections", "busy", "of usable", "refused"};
	PmDoc		holders = pm_doc_at(report->all, "at_peak");
	int			n = Min(pm_doc_length(holders), MOST_HOLDERS);
	PmDoc		curve = pm_doc_at(server, "curve");

	if (n == 0)
		return;
	pm_table_begin(page, psprintf("Who held the connections when there were most: %s, at %s (averages of that minute or hour)",
								  pm_number_words(pm_doc_number(curve, "peak")),
								  pm_moment_words(pm_doc_time(curve, "peak_at"), false)), titles, lengthof(titles));
	for (int i = 0; i < n; i++)
	{
		PmDoc		holder = pm_doc_item(holders, i);

		pm_html(page, "<tr>");
		put_holder_names(page, holder);
		pm_cell(page, titles[1], pm_number_words(pm_doc_number(holder, "connections")));
		pm_cell(page, titles[2], pm_number_words(pm_doc_number(holder, "busy")));
		pm_cell(page, titles[3], pm_share_words(pm_doc_number(holder, "percent_of_usable") / 100));
		pm_cell(page, titles[4], pm_number_words(pm_doc_number(holder, "refused")));
		pm_html(page, "</tr>\n");
	}
	pm_table_end(page);
}

void
pm_part_server(PmPage *page, const PmReport *report)
{
	PmDoc		server = pm_doc_at(report->all, "server");

	pm_html(page, "<section id=\"server\"><h2>The server and its slots ");
	pm_put_chip(page, pm_doc_text(server, "status"));
	pm_html(page, "</h2>\n");
	if (server == NULL)
		pm_html(page, "<p class=\"warn\">There is nothing of the server in this document.</p>");
	else
	{
		put_headroom(page, report, server);
		pm_curve_figure(page, report, server, "the server");
		put_at_peak(page, report, server);
	}
	pm_html(page, "</section>\n");
}

/* ---- what is not declared ---- */

static void
put_application(PmPage *page, PmDoc holder, const char *const *titles)
{
	pm_html(page, "<tr>");
	put_holder_names(page, holder);
	pm_cell(page, titles[1], pm_number_words(pm_doc_number(holder, "avg_connections")));
	pm_cell(page, titles[2], pm_number_words(pm_doc_number(holder, "max_connections")));
	pm_cell(page, titles[3], pm_number_words(pm_doc_number(holder, "avg_busy")));
	pm_cell(page, titles[4], pm_number_words(pm_doc_number(holder, "connects")));
	pm_cell(page, titles[5], pm_number_words(pm_doc_number(holder, "refused")));
	pm_html(page, "</tr>\n");
}

/* Pools that were in force then, or for some of it. */
static void
put_former(PmPage *page, const PmReport *report)
{
	PmDoc		former = pm_doc_at(report->all, "former");
	int			n = Min(pm_doc_length(former), PM_MOST_SHOWN);
	PmScratch	scratch;

	pm_scratch_begin(&scratch);
	for (int i = 0; i < n; i++)
	{
		PmDoc		pool;
		char	   *name;

		pm_scratch_next(&scratch);
		pool = pm_doc_item(former, i);
		name = pm_doc_text(pool, "pool");
		pm_html(page, "<h3>No longer declared: ");
		pm_html_name(page, name);
		pm_html(page, "</h3>");
		pm_curve_figure(page, report, pool, name != NULL ? name : "");
	}
	pm_scratch_end(&scratch);
	pm_put_rest(page, former, n);
}

void
pm_part_undeclared(PmPage *page, const PmReport *report)
{
	static const char *const titles[] = {"who", "average", "most", "busy", "connects", "refused"};
	PmDoc		holders = pm_doc_at(report->all, "holders");
	PmScratch	scratch;
	int			n = 0;

	pm_html(page, "<section id=\"undeclared\"><h2>In no declared pool</h2>\n");
	pm_curve_figure(page, report, pm_doc_at(report->all, "undeclared"), "all that is in no declared pool");
	pm_scratch_begin(&scratch);
	for (int i = 0; i < pm_doc_length(holders) && n < MOST_HOLDERS; i++)
	{
		PmDoc		holder;

		pm_scratch_next(&scratch);
		holder = pm_doc_item(holders, i);
		if (!pm_doc_has(holder, "application_name"))
			continue;
		if (n++ == 0)
			pm_table_begin(page, "The largest of these applications, while they had a history of their own", titles, lengthof(titles));
		put_application(page, holder, titles);
	}
	pm_scratch_end(&scratch);
	if (n > 0)
		pm_table_end(page);
	put_former(page, report);
	pm_html(page, "</section>\n");
}
