/*
 * svg.h
 *		Shapes of a picture in the page. Across, places are in percent, so that a picture is as
 *		wide as there is room and its text stays as large as it is; down, in pixels.
 */
#ifndef PM_SVG_H
#define PM_SVG_H

#include "report/html.h"

extern void pm_svg_begin(PmPage *page, const char *class, int height, const char *title, const char *description);
extern void pm_svg_end(PmPage *page);
extern void pm_svg_rect(PmPage *page, const char *class, double x, double y, double width, double height, const char *title);
extern void pm_svg_level(PmPage *page, const char *class, double y);
extern void pm_svg_text(PmPage *page, const char *class, double x, double y, const char *text);
extern void pm_svg_mark(PmPage *page, const char *symbol, double x, double y, const char *title);

/* Figures at equal steps from left to right; NaN: there is none, and nothing is drawn. */
typedef struct PmSteps
{
	int			n;
	double		top;			/* the figure that is at the upper edge; 0 is
								 * at the lower one */
	int			height;			/* pixels */
} PmSteps;

extern void pm_svg_steps_begin(PmPage *page, const PmSteps *steps, double y);
extern void pm_svg_line(PmPage *page, const char *class, const PmSteps *steps, const double *figures);
extern void pm_svg_area(PmPage *page, const char *class, const PmSteps *steps, const double *high, const double *low);
extern void pm_svg_steps_end(PmPage *page);

#endif							/* PM_SVG_H */
