/*
 * picture.h
 *		A pool's curve, ready to be drawn: figures, limits, scale and marks, the same for the
 *		page and the terminal.
 */
#ifndef PM_PICTURE_H
#define PM_PICTURE_H

#include "report/document.h"
#include "report/scale.h"

typedef enum PmFigure
{
	PM_CONNECTIONS,				/* on average */
	PM_LEAST_CONNECTIONS,
	PM_MOST_CONNECTIONS,
	PM_BUSY,					/* on average */
	PM_MOST_BUSY,
	PM_NUM_FIGURES
} PmFigure;

/* The worst that held in a step. */
typedef enum PmBand
{
	PM_BAND_NONE,				/* nobody was watching */
	PM_BAND_UNDECLARED,			/* it had no history then */
	PM_BAND_OK,
	PM_BAND_OVERFLOW,
	PM_BAND_EXHAUSTED,
	PM_BAND_OVER,
	PM_BAND_STARVED,
	PM_NUM_BANDS
} PmBand;

#define PM_MOST_LIMITS	3

/* Something that the connections are held against. */
typedef struct PmLimit
{
	const char *name;
	double		at;
	bool		is_above;		/* the picture */
} PmLimit;

typedef struct PmPicture
{
	TimestampTz from;
	TimestampTz until;
	int			n;
	double	   *figures[PM_NUM_FIGURES];	/* NaN: not known */
	PmBand	   *bands;
	int			unseen;			/* how many steps nobody was watching */
	int			undeclared;		/* and in how many it had no history */
	int			nlimits;
	PmLimit		limits[PM_MOST_LIMITS]; /* the lowest first */
	PmScale		scale;
	PmTimeTicks ticks;
	int			peak_step;		/* -1: there is none */
	double		peak;
	TimestampTz peak_at;
} PmPicture;

extern const char *const pm_band_names[PM_NUM_BANDS];

extern bool pm_picture_of(PmDoc curve, int ticks, PmPicture *picture);
extern void pm_picture_limit(PmPicture *picture, const char *name, double at);
extern void pm_picture_scale(PmPicture *picture, int ticks);
extern void pm_picture_pool_limits(PmPicture *picture, PmDoc declared);

/* Is nothing to be seen in it? */
static inline bool
pm_picture_is_empty(const PmPicture *picture)
{
	return picture->unseen + picture->undeclared == picture->n;
}

extern double pm_picture_place(const PmPicture *picture, TimestampTz at);

#endif							/* PM_PICTURE_H */
