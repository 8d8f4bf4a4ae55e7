/*
 * plot.c
 *		The picture of a curve in the page: marks of events above, connections and busy in
 *		the middle, the status as a band below, and the time.
 *
 * Nothing is told by its colour alone: what is shaded is a range, lines are solid, dashed or
 * dotted, each status of the band has its own pattern and height, each event its own shape.
 */
#include "postgres.h"

#include <math.h>

#include "report/plot.h"
#include "report/svg.h"
#include "report/words.h"
#include "utils/timestamp.h"

#define MARKS		12			/* px, above */
#define HEIGHT		150			/* of the curves */
#define BAND		12
#define BETWEEN		4
#define TIMES		20
#define LINE		14			/* of text */
#define NEAR		0.012		/* of the width: marks that would cover each
								 * other */

static double
level(const PmPicture *picture, double figure)
{
	return MARKS + HEIGHT * (1 - Min(figure / picture->scale.top, 1));
}

/* ---- what is behind the curves ---- */

static void
put_grid(PmPage *page, const PmPicture *picture, int bottom)
{
	for (double at = 0; at <= picture->scale.top; at += picture->scale.step)
	{
		pm_svg_level(page, at == 0 ? "axis" : "grid", level(picture, at));
		pm_htmlf(page, "<text class=\"y\" x=\"-6\" y=\"%.1f\">%s</text>", level(picture, at) + 4, pm_number_words(at));
	}
	for (int i = 0; i < picture->ticks.n; i++)
	{
		const PmTimeTick *tick = &picture->ticks.all[i];
		double		place = pm_picture_place(picture, tick->at);

		pm_htmlf(page, "<line class=\"tick\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%d\" y2=\"%d\"/>",
				 100 * place, 100 * place, MARKS, bottom + BETWEEN);
		/* at the edges there is no room for a label */
		if (place > 0.025 && place < 0.975)
			pm_svg_text(page, tick->is_major ? "x" : "x n", 100 * place, bottom + TIMES - 2, tick->label);
	}
}

/* The end of what is as it is here. */
static int
end_of_band(const PmPicture *picture, int from)
{
	int			to = from + 1;

	while (to < picture->n && picture->bands[to] == picture->bands[from])
		to++;
	return to;
}

/* From when to when. */
static char *
span_words(const PmPicture *picture, int from, int to)
{
	int64		step = (picture->until - picture->from) / picture->n;

	return psprintf("%s to %s", pm_moment_words(picture->from + from * step, false),
					pm_moment_words(picture->from + to * step, false));
}

/* What is not known, and why. A step that is not over yet may have nothing. */
static void
put_gaps(PmPage *page, const PmPicture *picture)
{
	double		step = 100.0 / picture->n;

	for (int from = 0, to; from < picture->n; from = to)
	{
		PmBand		band = picture->bands[from];

		to = end_of_band(picture, from);
		if ((band != PM_BAND_NONE && band != PM_BAND_UNDECLARED) || from == picture->n - 1)
			continue;
		pm_svg_rect(page, band == PM_BAND_NONE ? "gap" : "absent", from * step, MARKS, (to - from) * step, HEIGHT,
					psprintf("%s: %s", band == PM_BAND_NONE ? "nobody was watching" : "it was not declared",
							 span_words(picture, from, to)));
	}
}

/* ---- curves ---- */

static void
put_curves(PmPage *page, const PmPicture *picture)
{
	PmSteps		steps = {picture->n, picture->scale.top, HEIGHT};
	double	   *const *figures = picture->figures;

	pm_svg_steps_begin(page, &steps, MARKS);
	pm_svg_area(page, "range", &steps, figures[PM_MOST_CONNECTIONS], figures[PM_LEAST_CONNECTIONS]);
	pm_svg_area(page, "busy", &steps, figures[PM_BUSY], NULL);
	pm_svg_line(page, "most", &steps, figures[PM_MOST_BUSY]);
	pm_svg_line(page, "mean", &steps, figures[PM_CONNECTIONS]);
	pm_svg_steps_end(page);
}

/* Labels do not cover each other: each is a line above that below it, at least. */
static void
put_limits(PmPage *page, const PmPicture *picture)
{
	double		below = MARKS + HEIGHT + LINE;
	int			above = 0;

	for (int i = 0; i < picture->nlimits; i++)
	{
		const PmLimit *limit = &picture->limits[i];
		char	   *label = psprintf("%s %s", limit->name, pm_number_words(limit->at));
		double		y = level(picture, limit->at);

		if (limit->is_above)
		{
			pm_htmlf(page, "<text class=\"limit l\" x=\"4\" y=\"%d\">", MARKS + LINE * ++above);
			pm_html_text(page, psprintf("%s: far above", label));
			pm_html(page, "</text>");
			continue;
		}
		pm_svg_level(page, strncmp(limit->name, "base", 4) == 0 ? "lim base" : strncmp(limit->name, "budget", 6) == 0 ?
					 "lim budget" : "lim ceiling", y);
		below = Min(y - 3, below - LINE);
		pm_svg_text(page, "limit", 100, below, label);
	}
}

static void
put_peak(PmPage *page, const PmPicture *picture)
{
	if (picture->peak_step >= 0)
		pm_svg_mark(page, "peak", 100.0 * (picture->peak_step + 0.5) / picture->n, level(picture, picture->peak),
					psprintf("most connections: %s at %s", pm_number_words(picture->peak),
							 pm_moment_words(picture->peak_at, false)));
}

/* ---- the band ---- */

static void
put_band(PmPage *page, const PmPicture *picture, const char *const *names, int y)
{
	static const int heights[PM_NUM_BANDS] = {0, 0, 3, 6, 9, 12, 12};
	double		step = 100.0 / picture->n;

	for (int from = 0, to; from < picture->n; from = to)
	{
		PmBand		band = picture->bands[from];

		to = end_of_band(picture, from);
		if (band >= PM_BAND_OK)
			pm_svg_rect(page, psprintf("b%d", band), from * step, y + BAND - heights[band], (to - from) * step, heights[band],
						band <= PM_BAND_OVERFLOW ? NULL : psprintf("%s: %s", names[band], span_words(picture, from, to)));
	}
}

/* ---- events ---- */

typedef struct Symbol
{
	const char *event;
	const char *symbol;
} Symbol;

static const Symbol symbols[] = {
	{"exhausted", "m-limit"}, {"over_budget", "m-limit"}, {"starved", "m-limit"},
	{"server_full", "m-limit"}, {"server_over_budget", "m-limit"},
	{"refused", "m-refused"}, {"guarded", "m-refused"}, {"rejected", "m-refused"}, {"auth_failures", "m-refused"},
	{"storm", "m-storm"}, {"leak_suspect", "m-leak"}, {"retirement_paused", "m-pause"},
	{"declarations_loaded", "m-change"}, {"statistics_reset", "m-change"},
	{"started", "m-start"}, {"statistics_lost", "m-start"}, {"clock_step", "m-start"}, {"clock_set_back", "m-start"},
};

static const char *
symbol_of(const char *event)
{
	for (int i = 0; i < (int) lengthof(symbols); i++)
	{
		if (event != NULL && strcmp(event, symbols[i].event) == 0)
			return symbols[i].symbol;
	}
	return NULL;
}

static bool
is_whose(PmDoc event, const char *pool)
{
	const char *whose = pm_doc_text(event, "pool");

	if (pool != NULL)
		return whose != NULL && strcmp(whose, pool) == 0;
	return whose == NULL && pm_doc_text(event, "application_name") == NULL;
}

/* Last: of each kind, the place of the one before. */
static void
put_event(PmPage *page, const PmPlot *plot, PmDoc event, double *last)
{
	char	   *name = pm_doc_text(event, "event");
	const char *symbol = symbol_of(name);
	TimestampTz at;
	double		place;
	int			kind = 0;

	if (symbol == NULL || !is_whose(event, plot->pool))
		return;
	at = pm_doc_time(event, "at");
	place = pm_picture_place(&plot->picture, at);
	while (symbols[kind].symbol != symbol)
		kind++;
	if (place < 0 || place > 1 || place - last[kind] < NEAR)
		return;
	last[kind] = place;
	pm_svg_mark(page, symbol, 100 * place, MARKS / 2, psprintf("%s at %s", name, pm_moment_words(at, true)));
}

static void
put_events(PmPage *page, const PmPlot *plot)
{
	double		last[lengthof(symbols)];
	PmScratch	scratch;
	int			n = pm_doc_length(plot->events);

	for (int i = 0; i < (int) lengthof(last); i++)
		last[i] = -1;
	pm_scratch_begin(&scratch);
	for (int i = Max(n - PM_MOST_EVENTS, 0); i < n; i++)
	{
		pm_scratch_next(&scratch);
		put_event(page, plot, pm_doc_item(plot->events, i), last);
	}
	pm_scratch_end(&scratch);
}

/* ---- all of it ---- */

static char *
description_of(const PmPicture *picture)
{
	char	   *most = picture->peak_step < 0 ? "No connection was seen." :
	psprintf("The most connections were %s, at %s.", pm_number_words(picture->peak), pm_moment_words(picture->peak_at, false));
	char	   *gaps = picture->unseen == 0 ? "" :
	psprintf(" Of the time nobody was watching in %s.", pm_share_words(picture->unseen / (double) picture->n));

	return psprintf("From %s. %s%s", span_words(picture, 0, picture->n), most, gaps);
}

void
pm_plot(PmPage *page, const PmPlot *plot)
{
	const PmPicture *picture = &plot->picture;
	int			bottom = MARKS + HEIGHT + (plot->bands ? BETWEEN + BAND : 0);

	pm_svg_begin(page, "plot", bottom + TIMES, psprintf("Connections of %s", plot->name), description_of(picture));
	put_gaps(page, picture);
	put_grid(page, picture, bottom);
	put_curves(page, picture);
	put_limits(page, picture);
	put_peak(page, picture);
	if (plot->bands)
		put_band(page, picture, plot->bands, MARKS + HEIGHT + BETWEEN);
	put_events(page, plot);
	pm_svg_end(page);
}
