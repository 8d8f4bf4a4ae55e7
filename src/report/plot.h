/*
 * plot.h
 *		The picture of a curve in the page.
 */
#ifndef PM_PLOT_H
#define PM_PLOT_H

#include "report/document.h"
#include "report/html.h"
#include "report/picture.h"

#define PM_MOST_EVENTS	1000	/* the last ones, that are looked at */

/* What is told beside the curve. */
typedef struct PmPlot
{
	const char *name;			/* of whom */
	PmDoc		events;			/* of all */
	const char *pool;			/* whose events are marked; NULL: the server's */
	const char *const *bands;	/* what each status is called; NULL: none is
								 * drawn */
	PmPicture	picture;
} PmPlot;

extern void pm_plot(PmPage *page, const PmPlot *plot);

#endif							/* PM_PLOT_H */
