/*
 * svg.c
 *		Shapes of a picture in the page.
 *
 * A path is relative and whole, in pixels, and what does not change is one piece:
 * some hundred figures take a kilobyte.
 */
#include "postgres.h"

#include <math.h>

#include "report/svg.h"

#define PARTS	1				/* of a pixel */

/* As short as may be. */
static const char *
place(double value)
{
	char	   *text = psprintf("%.2f", value);
	char	   *end = text + strlen(text) - 1;

	while (*end == '0')
		*end-- = '\0';
	if (*end == '.')
		*end = '\0';
	return strcmp(text, "-0") == 0 ? "0" : text;
}

/* Title and description are plain text; description NULL: what is said beside it is enough. */
void
pm_svg_begin(PmPage *page, const char *class, int height, const char *title, const char *description)
{
	int			id = ++page->pictures;

	pm_htmlf(page, "<svg class=\"%s\" role=\"img\" height=\"%d\" aria-labelledby=\"t%d", class, height, id);
	if (description != NULL)
		pm_htmlf(page, " d%d", id);
	pm_htmlf(page, "\"><title id=\"t%d\">", id);
	pm_html_text(page, title);
	pm_html(page, "</title>");
	if (description == NULL)
		return;
	pm_htmlf(page, "<desc id=\"d%d\">", id);
	pm_html_text(page, description);
	pm_html(page, "</desc>");
}

void
pm_svg_end(PmPage *page)
{
	pm_html(page, "</svg>\n");
}

/* A title, NULL: none, is plain text. */
static void
end_shape(PmPage *page, const char *element, const char *title)
{
	if (title == NULL)
	{
		pm_html(page, "/>");
		return;
	}
	pm_html(page, "><title>");
	pm_html_text(page, title);
	pm_htmlf(page, "</title></%s>", element);
}

void
pm_svg_rect(PmPage *page, const char *class, double x, double y, double width, double height, const char *title)
{
	pm_htmlf(page, "<rect class=\"%s\" x=\"%s%%\" y=\"%s\" width=\"%s%%\" height=\"%s\"",
			 class, place(x), place(y), place(width), place(height));
	end_shape(page, "rect", title);
}

/* All the way across. */
void
pm_svg_level(PmPage *page, const char *class, double y)
{
	pm_htmlf(page, "<line class=\"%s\" x2=\"100%%\" y1=\"%s\" y2=\"%s\"/>", class, place(y), place(y));
}

/* Plain text. */
void
pm_svg_text(PmPage *page, const char *class, double x, double y, const char *text)
{
	pm_htmlf(page, "<text class=\"%s\" x=\"%s%%\" y=\"%s\">", class, place(x), place(y));
	pm_html_text(page, text);
	pm_html(page, "</text>");
}

/* One of the symbols that the page has: style.c. */
void
pm_svg_mark(PmPage *page, const char *symbol, double x, double y, const char *title)
{
	pm_htmlf(page, "<use href=\"#%s\" x=\"%s%%\" y=\"%s\"", symbol, place(x), place(y));
	end_shape(page, "use", title);
}

/* ---- figures ---- */

/* In parts of a pixel from the upper edge. */
static int
level(const PmSteps *steps, double figure)
{
	double		share = steps->top > 0 ? figure / steps->top : 0;

	return rint(PARTS * steps->height * (1 - Min(Max(share, 0), 1)));
}

/* A picture in the picture, that is stretched from one side to the other. */
void
pm_svg_steps_begin(PmPage *page, const PmSteps *steps, double y)
{
	pm_htmlf(page, "<svg y=\"%s\" width=\"100%%\" height=\"%d\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">",
			 place(y), steps->height, Max(steps->n, 1), PARTS * steps->height);
}

void
pm_svg_steps_end(PmPage *page)
{
	pm_html(page, "</svg>");
}

/* From the figure at from to that before to, or the other way. */
static void
put_figures(PmPage *page, const PmSteps *steps, const double *figures, int from, int to)
{
	int			way = from < to ? 1 : -1;
	int			at = level(steps, figures[way > 0 ? from : from - 1]);
	int			run = 0;

	for (int i = from; i != to; i += way)
	{
		int			next = level(steps, figures[way > 0 ? i : i - 1]);

		if (next != at)
		{
			pm_htmlf(page, "h%dv%d", run, next - at);
			run = 0;
		}
		at = next;
		run += way;
	}
	pm_htmlf(page, "h%d", run);
}

/* The first that there is from here on, and the first after it that there is not. */
static bool
next_run(const PmSteps *steps, const double *figures, int *from, int *to)
{
	for (*from = *to; *from < steps->n && isnan(figures[*from]); (*from)++)
		;
	for (*to = *from; *to < steps->n && !isnan(figures[*to]); (*to)++)
		;
	return *from < steps->n;
}

void
pm_svg_line(PmPage *page, const char *class, const PmSteps *steps, const double *figures)
{
	pm_htmlf(page, "<path class=\"%s\" d=\"", class);
	for (int from, to = 0; next_run(steps, figures, &from, &to);)
	{
		pm_htmlf(page, "M%d %d", from, level(steps, figures[from]));
		put_figures(page, steps, figures, from, to);
	}
	pm_html(page, "\"/>");
}

/* Between two lines; low NULL: down to the edge. Where one has none, the other is taken to have none. */
void
pm_svg_area(PmPage *page, const char *class, const PmSteps *steps, const double *high, const double *low)
{
	pm_htmlf(page, "<path class=\"%s\" d=\"", class);
	for (int from, to = 0; next_run(steps, high, &from, &to);)
	{
		pm_htmlf(page, "M%d %d", from, level(steps, high[from]));
		put_figures(page, steps, high, from, to);
		if (low == NULL)
			pm_htmlf(page, "V%dH%dZ", PARTS * steps->height, from);
		else
		{
			pm_htmlf(page, "V%d", level(steps, low[to - 1]));
			put_figures(page, steps, low, to, from);
			pm_html(page, "Z");
		}
	}
	pm_html(page, "\"/>");
}
