/*
 * stream.c
 *		The bursts in which checkouts come to a simulated pool: when, and how large.
 *
 * Bursts at random (Poisson), at the rate of the stretch by the mean size of one; the sizes
 * such that the index of dispersion of what comes in a tick is the one of the stretch (that is
 * E[B * B] / E[B] of the size B: D. R. Cox, V. Isham, "Point Processes", 1980, chapter 5.1),
 * geometric or all alike. With an index of 1 that is a burst of one each: plain Poisson. Less
 * than 1, which is more regular, is taken for 1.
 */
#include "postgres.h"

#include <math.h>

#include "planning/stream.h"

#define LARGEST_BURSTS	10000.0 /* E[B * B] / E[B]: more is no burst */

static double
exponential(pg_prng_state *random, double mean)
{
	return -log(1 - pg_prng_double(random)) * mean;
}

/*
 * E[B * B] / E[B] of the bursts, so that it is the dispersion of a tick: what falls on two
 * ticks counts less in each.
 */
static double
size_of_bursts(PmBurstShape shape, const PmStretch *stretch)
{
	double		spread = shape.spread;
	double		in_one = spread <= 1 ? 1 - spread / 3 : 1 / spread - 1 / (3 * spread * spread);

	return Min(1 + shape.size * Max(stretch->dispersion - 1, 0) / in_one, LARGEST_BURSTS);
}

static double
mean_burst(PmBurstShape shape, const PmStretch *stretch)
{
	double		size = size_of_bursts(shape, stretch);
	double		floor_of = floor(size);
	double		above;

	if (!shape.alike)
		return (size + 1) / 2;
	/* floor and the next one, in such shares that it is in between */
	above = (size - floor_of) * floor_of / (floor_of + 1 - (size - floor_of));
	return floor_of + above;
}

/* The size of the next burst, of which there must be one. */
int
pm_stream_draw(PmStream *stream)
{
	double		mean = mean_burst(stream->shape, &stream->what->stretches[stream->stretch]);
	double		turn;

	if (mean <= 1)
		return 1;
	turn = pg_prng_double(stream->random);
	if (stream->shape.alike)
		return (int) floor(mean) + (turn < mean - floor(mean));
	return 1 + (int) Min(floor(log(1 - turn) / log(1 - 1 / mean)), 1e6);
}

/* To the next burst. */
void
pm_stream_go_on(PmStream *stream)
{
	const PmSimulation *what = stream->what;

	while (stream->stretch <= stream->last_stretch)
	{
		const PmStretch *stretch = &what->stretches[stream->stretch];

		if (stretch->rate > 0)
		{
			stream->next += exponential(stream->random, mean_burst(stream->shape, stretch) / stretch->rate);
			if (stream->next < stream->stretch_end)
				return;
		}
		/* nothing is remembered: it may begin anew at any moment */
		stream->next = stream->stretch_end;
		if (++stream->stretch <= stream->last_stretch)
			stream->stretch_end += what->stretches[stream->stretch].seconds;
	}
	stream->next = INFINITY;
}

/* At 0; the first of these stretches is longer by the run-up. */
void
pm_stream_begin(PmStream *stream, int first, int last, double run_up)
{
	stream->next = 0;
	stream->stretch = first;
	stream->last_stretch = last;
	stream->stretch_end = run_up + stream->what->stretches[first].seconds;
	pm_stream_go_on(stream);
}
