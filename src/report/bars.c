/*
 * bars.c
 *		Bars beside each other, and parts of a whole.
 */
#include "postgres.h"

#include <math.h>

#include "report/bars.h"
#include "report/svg.h"

#define HEIGHT	56				/* px */
#define LABELS	18
#define STACK	22

void
pm_bars(PmPage *page, const char *title, const PmBar *bars, int n)
{
	double		width = 100.0 / Max(n, 1);

	pm_svg_begin(page, "bars", HEIGHT + LABELS, title, NULL);
	for (int i = 0; i < n; i++)
	{
		/* what is not nothing is seen */
		double		height = bars[i].share > 0 ? Max(HEIGHT * Min(bars[i].share, 1), 1.5) : 0;

		if (height > 0)
			pm_svg_rect(page, bars[i].is_cut ? "bar cut" : bars[i].is_marked ? "bar today" : "bar", i * width + width * 0.06,
						HEIGHT - height, width * 0.88, height, bars[i].title);
		if (bars[i].label != NULL)
			pm_svg_text(page, bars[i].is_marked ? "x strong" : "x", (i + 0.5) * width, HEIGHT + 14, bars[i].label);
	}
	pm_svg_level(page, "axis", HEIGHT);
	pm_svg_end(page);
}

/* Its highest is as high as there is room; what is not nothing is seen. */
void
pm_histogram(PmPage *page, const char *title, const double *shares, const char *const *labels, int n)
{
	PmSteps		steps = {.n = n,.height = HEIGHT};
	double	   *figures = palloc(n * sizeof(double));

	for (int i = 0; i < n; i++)
		steps.top = fmax(steps.top, shares[i]);
	for (int i = 0; i < n; i++)
		figures[i] = shares[i] > 0 ? fmax(shares[i], steps.top * 1.5 / HEIGHT) : 0;
	pm_svg_begin(page, "bars", HEIGHT + LABELS, title, NULL);
	pm_svg_steps_begin(page, &steps, 0);
	pm_svg_area(page, "bar", &steps, figures, NULL);
	pm_svg_steps_end(page);
	for (int i = 0; i < n; i++)
	{
		if (labels[i] != NULL)
			pm_svg_text(page, "x", (i + 1) * 100.0 / n, HEIGHT + 14, labels[i]);
	}
	pm_svg_level(page, "axis", HEIGHT);
	pm_svg_end(page);
}

static const char *
shade_class(int shade)
{
	return shade == PM_SHADE_REST ? "rest" : shade == PM_SHADE_OTHER ? "other" : psprintf("s%d", shade);
}

/* From the left, cut where the whole ends; mark: a line there, 0: none. */
void
pm_stack(PmPage *page, const char *title, const PmStackPart *parts, int n, double whole, double mark)
{
	double		at = 0;

	pm_svg_begin(page, "stack", STACK, title, NULL);
	for (int i = 0; i < n && whole > 0; i++)
	{
		double		width = Min(100 * parts[i].size / whole, 100 - at);

		if (width > 0)
			pm_svg_rect(page, shade_class(parts[i].shade), at, 0, width, STACK, parts[i].title);
		at += Max(width, 0);
	}
	if (mark > 0 && whole > 0)
		pm_htmlf(page, "<line class=\"mark\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"-4\" y2=\"%d\"/>", 100 * mark / whole,
				 100 * mark / whole, STACK + 4);
	pm_svg_end(page);
}

/* For what stands beside a stack. */
void
pm_swatch(PmPage *page, int shade)
{
	pm_htmlf(page, "<svg class=\"sw\" aria-hidden=\"true\"><rect class=\"w %s\"/></svg>", shade_class(shade));
}
