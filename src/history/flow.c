/*
 * flow.c
 *		Connects of the last seconds.
 */
#include "postgres.h"

#include "base/guc.h"
#include "history/flow.h"

#define WINDOW	PM_FLOW_WINDOW

/* Forgets the seconds that have left the window, up to the present one. */
void
pm_flow_slide(PmFlow *flow, int64 last, int64 now)
{
	for (int64 second = Max(last + 1, now - WINDOW + 1); second <= now; second++)
	{
		flow->sum -= flow->seconds[second % WINDOW];
		flow->seconds[second % WINDOW] = 0;
	}
}

/*
 * Into the seconds since the last tick, evenly, because nobody knows when in these they
 * came; but for what has left the window by now.
 */
static void
spread(PmFlow *flow, uint64 new, int64 last, int64 now)
{
	int64		seconds = Max(now - last, 1);

	for (int64 i = 0; i < Min(seconds, WINDOW); i++)
	{
		uint32		share = new * (i + 1) / seconds - new * i / seconds;

		flow->seconds[(now - i) % WINDOW] += share;
		flow->sum += share;
	}
}

/* Returns how many connects are new since the last tick. */
uint64
pm_flow_add(PmFlow *flow, uint64 connects, int64 last, int64 now)
{
	uint64		new = connects - flow->connects;

	/* who stood still knows too little of when they came */
	if (now - last > Max(WINDOW, 3 * pm_sample_interval / 1000))
		new = 0;
	flow->connects = connects;
	if (new > 0)
		spread(flow, new, last, now);
	return new;
}

/* How many seconds ago the connects in the window began, 1 at least. */
int
pm_flow_span(const PmFlow *flow, int64 now)
{
	for (int back = WINDOW - 1; back > 0; back--)
	{
		if (flow->seconds[(now - back) % WINDOW] > 0)
			return back + 1;
	}
	return 1;
}
