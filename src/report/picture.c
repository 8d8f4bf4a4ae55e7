/*
 * picture.c
 *		A pool's curve, ready to be drawn: figures, limits, scale and marks.
 *
 * The picture is as high as what was there, and as the limits that are not far above it: a
 * ceiling of 400 over connections that never were more than 10 is said, not drawn.
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "report/picture.h"
#include "utils/timestamp.h"

#define MOST_STEPS		100000
#define LONGEST_STEP	1e7		/* s */
#define MOST_CONNECTIONS	1e12
#define FAR_ABOVE		3		/* times the most that was there */

const char *const pm_band_names[PM_NUM_BANDS] = {"not watched", "undeclared", "ok", "overflow", "exhausted", "over", "starved"};

static const char *const keys[PM_NUM_FIGURES] = {
	"connections", "least_connections", "most_connections", "busy", "most_busy"
};

static double *
read_figures(PmDoc array, int n)
{
	double	   *figures = palloc(Max(n, 1) * sizeof(double));

	for (int i = 0; i < n; i++)
		figures[i] = pm_doc_item_number(array, i);
	return figures;
}

/* What is shorter than the others, or another version's, is not known. */
static void
read_bands(PmPicture *picture, PmDoc array)
{
	picture->bands = palloc0(Max(picture->n, 1) * sizeof(PmBand));
	for (int i = 0; i < picture->n; i++)
	{
		const char *name = pm_doc_item_text(array, i);

		for (int b = 0; b < PM_NUM_BANDS && name != NULL; b++)
		{
			if (strcmp(name, pm_band_names[b]) == 0)
				picture->bands[i] = b;
		}
		picture->unseen += picture->bands[i] == PM_BAND_NONE;
		picture->undeclared += picture->bands[i] == PM_BAND_UNDECLARED;
	}
}

static void
find_peak(PmPicture *picture, PmDoc curve)
{
	picture->peak = pm_doc_number(curve, "peak");
	picture->peak_at = pm_doc_time(curve, "peak_at");
	picture->peak_step = -1;
	if (picture->peak_at >= picture->from && picture->peak_at < picture->until && picture->peak > 0)
		picture->peak_step = pm_picture_place(picture, picture->peak_at) * picture->n;
}

/* Without limits and scale. False: there is nothing to be drawn. */
bool
pm_picture_of(PmDoc curve, int ticks, PmPicture *picture)
{
	double		step = pm_doc_number(curve, "step");

	memset(picture, 0, sizeof(PmPicture));
	picture->n = Min(pm_doc_length(pm_doc_at(curve, keys[0])), MOST_STEPS);
	picture->from = pm_doc_time(curve, "first");
	if (picture->n == 0 || picture->from == 0 || !(step >= 1 && step <= LONGEST_STEP) ||
		pg_add_s64_overflow(picture->from, picture->n * (int64) (step * USECS_PER_SEC), &picture->until))
		return false;
	for (int f = 0; f < PM_NUM_FIGURES; f++)
		picture->figures[f] = read_figures(pm_doc_at(curve, keys[f]), picture->n);
	read_bands(picture, pm_doc_at(curve, "status"));
	find_peak(picture, curve);
	pm_time_ticks(picture->from, picture->until, ticks, &picture->ticks);
	return true;
}

/* NaN: there is no such limit. Of two that are alike the name is both. */
void
pm_picture_limit(PmPicture *picture, const char *name, double at)
{
	int			place = picture->nlimits;

	if (!(at > 0 && at < MOST_CONNECTIONS))
		return;
	for (int i = 0; i < picture->nlimits; i++)
	{
		if (picture->limits[i].at == at)
		{
			picture->limits[i].name = psprintf("%s, %s", picture->limits[i].name, name);
			return;
		}
	}
	Assert(picture->nlimits < PM_MOST_LIMITS);
	while (place > 0 && picture->limits[place - 1].at > at)
	{
		picture->limits[place] = picture->limits[place - 1];
		place--;
	}
	picture->limits[place] = (PmLimit)
	{
		name, at, false
	};
	picture->nlimits++;
}

void
pm_picture_pool_limits(PmPicture *picture, PmDoc declared)
{
	pm_picture_limit(picture, "base", pm_doc_number(declared, "base"));
	pm_picture_limit(picture, "ceiling", pm_doc_number(declared, "ceiling"));
	pm_picture_limit(picture, "budget", pm_doc_number(declared, "budget"));
}

/* After the limits. */
void
pm_picture_scale(PmPicture *picture, int ticks)
{
	double		most = 0;
	double		top;

	for (int i = 0; i < picture->n; i++)
	{
		most = fmax(most, picture->figures[PM_MOST_CONNECTIONS][i]);
		most = fmax(most, picture->figures[PM_MOST_BUSY][i]);
	}
	top = most;
	for (int i = 0; i < picture->nlimits; i++)
	{
		PmLimit    *limit = &picture->limits[i];

		limit->is_above = most > 0 && limit->at > FAR_ABOVE * Max(most, 3);
		if (!limit->is_above)
			top = Max(top, limit->at);
	}
	picture->scale = pm_scale(top * 1.05, ticks);
}

/* 0 to 1, where it is in the picture. */
double
pm_picture_place(const PmPicture *picture, TimestampTz at)
{
	return ((double) at - picture->from) / ((double) picture->until - picture->from);
}
