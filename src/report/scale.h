/*
 * scale.h
 *		Where numbers and times stand in a picture, and which of them are marked: the same
 *		for the page and the terminal.
 */
#ifndef PM_SCALE_H
#define PM_SCALE_H

#include "datatype/timestamp.h"

#define PM_MOST_TICKS	24

/* From 0 on; marks are 1, 2 or 5 times a power of ten apart, and whole. */
typedef struct PmScale
{
	double		top;
	double		step;
} PmScale;

typedef struct PmTimeTick
{
	TimestampTz at;
	bool		is_major;		/* stays where there is little room */
	char		label[16];
} PmTimeTick;

typedef struct PmTimeTicks
{
	int			n;
	PmTimeTick	all[PM_MOST_TICKS];
} PmTimeTicks;

extern PmScale pm_scale(double most, int ticks);
extern void pm_time_ticks(TimestampTz since, TimestampTz until, int most, PmTimeTicks *ticks);

#endif							/* PM_SCALE_H */
