/*
 * bars.h
 *		Bars beside each other: distributions, and what a number of sizes would give.
 */
#ifndef PM_BARS_H
#define PM_BARS_H

#include "report/html.h"

/* One of them; label: under it, NULL: none. */
typedef struct PmBar
{
	double		share;			/* of the height: 0 to 1 */
	bool		is_marked;
	bool		is_cut;			/* it is higher than there is room */
	const char *title;
	const char *label;
} PmBar;

extern void pm_bars(PmPage *page, const char *title, const PmBar *bars, int n);

/* Ranges of values, side by side; labels: of their right edges, NULL: none. */
extern void pm_histogram(PmPage *page, const char *title, const double *shares, const char *const *labels, int n);

/* How many shades a stack has. */
#define PM_SHADES	8

typedef struct PmStackPart
{
	double		size;
	int			shade;			/* 0 to PM_SHADES - 1, or one of these */
	const char *title;
} PmStackPart;

#define PM_SHADE_REST	PM_SHADES	/* what is left */
#define PM_SHADE_OTHER	(PM_SHADES + 1)

extern void pm_stack(PmPage *page, const char *title, const PmStackPart *parts, int n, double whole, double mark);
extern void pm_swatch(PmPage *page, int shade);

#endif							/* PM_BARS_H */
