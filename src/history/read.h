/*
 * read.h
 *		Reading the rings: copies of what is asked for.
 */
#ifndef PM_READ_H
#define PM_READ_H

#include "datatype/timestamp.h"
#include "history/rings.h"

#define PM_MINUTES	0			/* in PmHistory.rings */
#define PM_HOURS	1

/* A stretch is in the span in which it begins: at since or later, and before until. */
typedef struct PmSpan
{
	TimestampTz since;
	TimestampTz until;
} PmSpan;

/* Stretches of one series in one ring, the oldest first. */
typedef struct PmRingCopy
{
	int			count;
	TimestampTz oldest;			/* in the ring, copied or not; infinity: there
								 * is none */
	TimestampTz *starts;		/* NULL: this ring is not asked for */
	PmBucket   *buckets;
} PmRingCopy;

/* One series after another, each at one moment. */
typedef struct PmPast
{
	char		name[PM_NAME_LEN];
	bool		of_application;
	PmOwner		application;	/* then */
	PmRingCopy	rings[PM_NUM_RINGS];

	/* what is read */
	const char *only;			/* the name; NULL: of all */
	PmSpan		span;
	int			next;			/* series */
	int			end;
} PmPast;

/* Allocates in the current memory context; name stays the caller's. */
extern void pm_past_begin(PmPast *past, const char *name, int64 resolution, PmSpan span);

/* Those of undeclared applications come too, after the others. */
extern void pm_past_begin_all(PmPast *past, PmSpan span);

/* Takes the lock. */
extern bool pm_past_next(PmPast *past);

#endif							/* PM_READ_H */
