/*
 * part_pools.c
 *		The declared pools: all in one table, and each with its curve, what it is declared to
 *		be, what it did, and what that costs.
 */
#include "postgres.h"

#include <math.h>

#include "report/bars.h"
#include "report/parts.h"
#include "report/words.h"
#include "utils/timestamp.h"

#define MOST_BOUNDS	24
#define MOST_SIZES	40
#define LEAST_WAIT	0.001		/* s */

/* ---- all of them ---- */

static const char *const titles[] = {
	"pool", "now", "most, and when", "busy (95 %)", "above base", "all busy", "over", "starved", "refused", "status"
};

static void
put_pool_row(PmPage *page, PmDoc pool, int place)
{
	static const char *const shares[] = {"overflow_share", "exhausted_share", "over_share", "starved_share"};
	PmDoc		now = pm_doc_at(pool, "now");
	PmDoc		span = pm_doc_at(pool, "span");
	PmDoc		curve = pm_doc_at(pool, "curve");
	TimestampTz peak_at = pm_doc_time(curve, "peak_at");
	double		budget = pm_doc_number(pm_doc_at(pool, "declared"), "budget");

	pm_htmlf(page, "<tr><td data-of=\"pool\"><span><a href=\"#pool%d\">", place);
	pm_html_name(page, pm_doc_text(pool, "pool"));
	pm_html(page, "</a></span></td>");
	pm_cell(page, titles[1], isnan(budget) ? psprintf("%s, no bound", pm_number_words(pm_doc_number(now, "connections"))) :
			psprintf("%s of %s", pm_number_words(pm_doc_number(now, "connections")), pm_number_words(budget)));
	pm_cell(page, titles[2], peak_at == 0 ? "-" :
			psprintf("%s, %s %s", pm_number_words(pm_doc_number(curve, "peak")), pm_day_words(peak_at), pm_clock_words(peak_at, false)));
	pm_cell(page, titles[3], pm_number_words(pm_doc_number(span, "p95_busy")));
	for (int i = 0; i < (int) lengthof(shares); i++)
	{
		double		seconds = pm_doc_seconds(span, "seen") * pm_doc_number(span, shares[i]);

		pm_cell(page, titles[4 + i], seconds > 0 ? pm_seconds_words(seconds) : "-");
	}
	pm_cell(page, titles[8], pm_doc_count(span, "refused") > 0 ? pm_number_words(pm_doc_number(span, "refused")) : "-");
	pm_html(page, "<td data-of=\"status\"><span>");
	pm_put_chip(page, pm_doc_text(now, "status"));
	pm_html(page, "</span></td></tr>\n");
}

/* ---- one of them: in words ---- */

static void
begin_fact(PmPage *page, const char *name)
{
	pm_htmlf(page, "<dt>%s</dt><dd>", name);
}

static void
put_sizes(PmPage *page, PmDoc declared)
{
	double		servers = pm_doc_number(declared, "servers");
	char	   *servers_words = servers > 1 ? psprintf("%s servers &#215; ", pm_number_words(servers)) : "";

	begin_fact(page, "sizes");
	pm_htmlf(page, "%s%s processes &#215; (%s + %s): base %s, ceiling %s, budget %s", servers_words,
			 pm_number_words(pm_doc_number(declared, "workers")), pm_number_words(pm_doc_number(declared, "pool_size")),
			 pm_doc_number(declared, "max_overflow") < 0 ? "unbounded" : pm_number_words(pm_doc_number(declared, "max_overflow")),
			 pm_number_words(pm_doc_number(declared, "base")),
			 pm_doc_has(declared, "ceiling") ? pm_number_words(pm_doc_number(declared, "ceiling")) : "none",
			 pm_doc_has(declared, "budget") ? pm_number_words(pm_doc_number(declared, "budget")) : "none");
	if (pm_doc_time(declared, "sized_since") != 0)
		pm_htmlf(page, "; so since %s", pm_moment_words(pm_doc_time(declared, "sized_since"), false));
	pm_html(page, "</dd>");
}

static void
put_capacity(PmPage *page, PmDoc pool)
{
	PmDoc		capacity = pm_doc_at(pool, "capacity");
	double		rate = pm_doc_number(capacity, "checkouts_per_second");

	begin_fact(page, "carries");
	if (!pm_doc_has(capacity, "concurrent"))
	{
		pm_html(page, "as many operations at once as the server lets it: it has no ceiling</dd>");
		return;
	}
	pm_htmlf(page, "%s operations at once, %s in each process; the next one there waits, up to %s, then fails",
			 pm_number_words(pm_doc_number(capacity, "concurrent")), pm_number_words(pm_doc_number(capacity, "each")),
			 pm_seconds_words(pm_doc_seconds(pm_doc_at(pool, "declared"), "pool_timeout")));
	if (!isnan(rate))
		pm_htmlf(page, ". About %s checkouts a second before 1 %% of them wait (%s each, as measured; random arrivals)",
				 pm_number_words(rate), pm_seconds_words(pm_doc_number(capacity, "hold_time")));
	pm_html(page, "</dd>");
}

/* PgBouncer tells for how long its clients have waited, and not how many. */
static bool
waits_are_counted(PmDoc span)
{
	return pm_doc_count(span, "checkout_waits") + pm_doc_count(span, "checkout_timeouts") > 0 ||
		!(pm_doc_number(span, "waited_seconds") > 0);
}

static void
put_reported(PmPage *page, PmDoc span)
{
	double		waited = pm_doc_number(span, "waited_seconds");
	double		timed = pm_doc_number(span, "timed_checkouts");
	double		use = pm_doc_number(span, "checked_out_seconds");

	begin_fact(page, "clients say");
	pm_htmlf(page, "%s checkouts, ", pm_number_words(pm_doc_number(span, "checkouts")));
	if (!waits_are_counted(span))
		pm_htmlf(page, "of which some waited, %s in all", pm_seconds_words(waited));
	else
		pm_htmlf(page, "%s of them waited, %s in all; %s gave up", pm_number_words(pm_doc_number(span, "checkout_waits")),
				 pm_seconds_words(waited), pm_number_words(pm_doc_number(span, "checkout_timeouts")));
	if (timed > 0)
		pm_htmlf(page, "; each had its connection for %s on average", pm_seconds_words(use / timed));
	pm_html(page, "</dd>");
}

static void
put_churn(PmPage *page, const PmReport *report, PmDoc span)
{
	double		hours = pm_doc_seconds(span, "seen") / 3600;

	begin_fact(page, "load");
	pm_htmlf(page, "%s transactions, %s a second; busy %s on average</dd>", pm_number_words(pm_doc_number(span, "transactions")),
			 pm_number_words(pm_doc_number(span, "transactions_per_second")), pm_number_words(pm_doc_number(span, "avg_busy")));
	begin_fact(page, "churn");
	pm_htmlf(page, "%s connects, %s an hour; %s retired by pool_monitor; %s refused, ", pm_number_words(pm_doc_number(span, "connects")),
			 hours > 0 ? pm_number_words(rint(pm_doc_number(span, "connects") / hours)) : "-",
			 pm_number_words(pm_doc_number(span, "retired")), pm_number_words(pm_doc_number(span, "refused")));
	/* a document that was kept may be older than the guard */
	if (pm_doc_has(span, "guarded"))
		pm_htmlf(page, "%s by the guard, ", pm_number_words(pm_doc_number(span, "guarded")));
	pm_htmlf(page, "%s rejected, %s not authenticated</dd>", pm_number_words(pm_doc_number(span, "rejected")),
			 pm_number_words(pm_doc_number(span, "auth_failures")));
	if (pm_doc_count(span, "checkouts") + pm_doc_count(span, "checkout_timeouts") > 0)
		put_reported(page, span);
}

static void
put_memory(PmPage *page, PmDoc pool)
{
	PmDoc		memory = pm_doc_at(pool, "memory");

	begin_fact(page, "memory");
	if (!(pm_doc_number(memory, "idle") > 0) || !pm_doc_has(memory, "bytes"))
		pm_html(page, "no idle connection holds any now</dd>");
	else
		pm_htmlf(page, "%s idle connections hold %s, %s each (now)</dd>", pm_number_words(pm_doc_number(memory, "idle")),
				 pm_bytes_words(pm_doc_number(memory, "bytes")),
				 pm_bytes_words(pm_doc_number(memory, "bytes") / pm_doc_number(memory, "idle")));
}

/* ---- how sessions end ---- */

static void
put_ends(PmPage *page, PmDoc counted)
{
	static const struct
	{
		const char *key;
		const char *said;
	}			ends[] = {
		{"ended_client", "by the client"}, {"ended_abandoned", "client vanished"}, {"ended_fatal", "fatal error"},
		{"ended_timeout", "by a time-out"}, {"ended_killed", "terminated"}, {"retired", "retired"}, {"ended_lost", "in a crash"},
		{"given_over", "moved to another pool"}
	};
	PmStackPart parts[lengthof(ends)];
	double		whole = 0;

	for (int i = 0; i < (int) lengthof(ends); i++)
	{
		parts[i] = (PmStackPart)
		{
			pm_doc_count(counted, ends[i].key), i, NULL
		};
		parts[i].title = psprintf("%s: %s", ends[i].said, pm_number_words(parts[i].size));
		whole += parts[i].size;
	}
	pm_htmlf(page, "<h4>How sessions ended: %s since %s</h4>", pm_number_words(whole),
			 pm_moment_words(pm_doc_time(counted, "stats_reset"), false));
	if (whole == 0)
		return;
	pm_stack(page, "How sessions ended", parts, lengthof(ends), whole, 0);
	pm_html(page, "<ul class=\"key\">");
	for (int i = 0; i < (int) lengthof(ends); i++)
	{
		if (parts[i].size == 0)
			continue;
		pm_html(page, "<li>");
		pm_swatch(page, i);
		pm_htmlf(page, "%s %s</li>", ends[i].said, pm_number_words(parts[i].size));
	}
	pm_html(page, "</ul>\n");
}

/* ---- distributions ---- */

/* What: as in the counters; those up to each bound become those in each range. */
static void
put_distribution(PmPage *page, PmDoc pool, const char *key, const char *title, const char *what, bool has_p99)
{
	PmDoc		counted = pm_doc_at(pool, "counted");
	PmDoc		histogram = pm_doc_at(pool, key);
	PmDoc		bounds = pm_doc_at(histogram, "bounds");
	PmDoc		up_to = pm_doc_at(histogram, "up_to");
	int			n = Min(pm_doc_length(bounds), MOST_BOUNDS);
	double		shares[MOST_BOUNDS + 1];
	const char *labels[MOST_BOUNDS + 1];
	double		total = pm_doc_count(histogram, "count");
	double		before = 0;
	char	   *figures;

	pm_htmlf(page, "<figure><h4>%s</h4>", title);
	if (total == 0 || n == 0)
	{
		pm_html(page, "<p class=\"soft\">None yet.</p></figure>");
		return;
	}
	for (int i = 0; i <= n; i++)
	{
		double		to = i < n ? pm_doc_item_number(up_to, i) : total;

		shares[i] = (to - before) / total;
		labels[i] = i % 3 == 1 && i < n ? pm_seconds_words(pm_doc_item_number(bounds, i)) : NULL;
		before = isnan(to) ? before : to;
	}
	figures = psprintf("half up to %s, 95 %% up to %s, %slongest %s",
					   pm_seconds_words(pm_doc_seconds(counted, psprintf("%s_p50", what))),
					   pm_seconds_words(pm_doc_seconds(counted, psprintf("%s_p95", what))),
					   has_p99 ? psprintf("99 %% up to %s, ", pm_seconds_words(pm_doc_seconds(counted, psprintf("%s_p99", what)))) : "",
					   pm_seconds_words(pm_doc_seconds(counted, psprintf("%s_max", what))));
	pm_histogram(page, title, shares, labels, n + 1);
	pm_htmlf(page, "<figcaption>%s</figcaption></figure>", figures);
}

/* ---- with other sizes ---- */

static char *
wait_title(PmDoc size)
{
	double		timeouts = pm_doc_number(size, "timeouts");
	double		wait = pm_doc_number(size, "wait_p95");

	return psprintf("%s (%s a process): %s; %s time out", pm_number_words(pm_doc_number(size, "connections")),
					pm_number_words(pm_doc_number(size, "each")),
					isnan(wait) ? "waits without end" : wait < 1e-6 ? "95 % do not wait" :
					psprintf("95 %% wait no longer than %s", pm_seconds_words(wait)),
					timeouts < 1e-9 ? "none" : pm_share_words(timeouts));
}

/* How high its bar is: by its logarithm, from LEAST_WAIT up to pool_timeout. */
static double
share_of_wait(double wait, double timeout)
{
	if (!(wait > 0) || !(timeout > LEAST_WAIT))
		return 0;
	return Max(log(wait / LEAST_WAIT) / log(timeout / LEAST_WAIT), 0.02);
}

/* What the formulas are about, as it was. */
static char *
measured_beside(PmDoc span)
{
	double		tried = pm_doc_count(span, "checkouts") + pm_doc_count(span, "checkout_timeouts");

	if (tried == 0 || !waits_are_counted(span))
		return "";
	return psprintf(" As its clients report, %s waited and %s gave up: where that is far more, they do not come at random, see "
					"<code>simulate()</code>.",
					pm_share_words(pm_doc_count(span, "checkout_waits") / tried),
					pm_share_words(pm_doc_count(span, "checkout_timeouts") / tried));
}

static void
put_waits(PmPage *page, PmDoc pool)
{
	PmDoc		sizes = pm_doc_at(pool, "sizes");
	int			n = Min(pm_doc_length(sizes), MOST_SIZES);
	double		timeout = pm_doc_seconds(pm_doc_at(pool, "declared"), "pool_timeout");
	double		each = pm_doc_number(pm_doc_at(pool, "capacity"), "each");
	PmBar		bars[MOST_SIZES] = {{0}};
	char	   *today = "";

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		PmDoc		size = pm_doc_item(sizes, i);
		double		wait = pm_doc_number(size, "wait_p95");
		double		next = i + 1 < n ? pm_doc_number(pm_doc_item(sizes, i + 1), "each") : INFINITY;

		bars[i].is_cut = isnan(wait) || wait >= timeout;
		bars[i].share = bars[i].is_cut ? 1 : share_of_wait(wait, timeout);
		bars[i].is_marked = pm_doc_number(size, "each") <= each && each < next;
		bars[i].title = wait_title(size);
		if (bars[i].is_marked)
			today = wait_title(size);
		if (bars[i].is_marked || i == 0 || i == n - 1)
			bars[i].label = pm_number_words(pm_doc_number(size, "connections"));
	}
	pm_html(page, "<figure><h4>Waits by number of connections, at this load</h4>");
	pm_bars(page, "Waits by number of connections", bars, n);
	pm_htmlf(page, "<figcaption>As sized now, %s, if they come at random.%s Bars: the wait that 95 %% do not exceed, by its "
			 "logarithm, from 1 ms to %s.</figcaption></figure>\n",
			 today, measured_beside(pm_doc_at(pool, "span")), pm_seconds_words(timeout));
}

/* ---- one of them ---- */

static void
put_pool(PmPage *page, const PmReport *report, PmDoc pool, int place)
{
	char	   *name = pm_doc_text(pool, "pool");
	PmDoc		now = pm_doc_at(pool, "now");
	PmDoc		span = pm_doc_at(pool, "span");

	pm_htmlf(page, "<section class=\"pool\" id=\"pool%d\"><h3>", place);
	pm_html_name(page, name);
	pm_html(page, " ");
	pm_put_chip(page, pm_doc_text(now, "status"));
	pm_html(page, "</h3>\n");
	if (now != NULL)
		pm_htmlf(page, "<p>Now %s connections, %s busy, %s idle; %s stale, %s leak suspects.</p>",
				 pm_number_words(pm_doc_number(now, "connections")), pm_number_words(pm_doc_number(now, "busy")),
				 pm_number_words(pm_doc_number(now, "idle")), pm_number_words(pm_doc_number(now, "stale")),
				 pm_number_words(pm_doc_number(now, "leak_suspects")));
	pm_curve_figure(page, report, pool, name != NULL ? name : "");
	pm_html(page, "<div class=\"two\"><dl>");
	put_sizes(page, pm_doc_at(pool, "declared"));
	put_capacity(page, pool);
	if (span != NULL)
		put_churn(page, report, span);
	put_memory(page, pool);
	pm_html(page, "</dl><div>");
	put_ends(page, pm_doc_at(pool, "counted"));
	put_waits(page, pool);
	pm_html(page, "</div></div><div class=\"three\">");
	put_distribution(page, pool, "holds", "Holds: time in a transaction", "hold", true);
	put_distribution(page, pool, "lifetimes", "Lifetimes of ended sessions", "lifetime", false);
	put_distribution(page, pool, "setups", "Set-up of a new connection", "setup", true);
	pm_html(page, "</div></section>\n");
}

void
pm_part_pools(PmPage *page, const PmReport *report)
{
	PmScratch	scratch;

	pm_html(page, "<section id=\"pools\"><h2>Pools</h2>\n");
	if (report->npools == 0)
	{
		pm_html(page, "<p class=\"warn\">No pool is declared, or none is in force.</p></section>\n");
		return;
	}
	pm_table_begin(page, "Times are of this span, each condition for itself", titles, lengthof(titles));
	pm_scratch_begin(&scratch);
	for (int i = 0; i < report->npools; i++)
	{
		pm_scratch_next(&scratch);
		put_pool_row(page, pm_doc_item(report->pools, i), i);
	}
	pm_table_end(page);
	pm_put_rest(page, report->pools, report->npools);
	for (int i = 0; i < report->npools; i++)
	{
		pm_scratch_next(&scratch);
		put_pool(page, report, pm_doc_item(report->pools, i), i);
	}
	pm_scratch_end(&scratch);
	pm_html(page, "</section>\n");
}
