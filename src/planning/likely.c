/*
 * likely.c
 *		How likely what was measured is, if a simulation is right.
 *
 * A simulation is compared with a past by what both have of the same kind (C. Gourieroux,
 * A. Monfort, E. Renault, "Indirect Inference", 1993), each figure by its own chance. What a
 * sampler has seen once in a tick is an estimate, the less certain the shorter the past is: its
 * chance is that of a replication, which is known from how far replications are apart. What
 * clients report is exact, and part of the past that is to be replayed, its luck among it: a
 * simulation has to come to the same, but for its own chance. All are compared by their
 * logarithms, as a wait is wrong by a factor, and taken for independent of each other. Which
 * figure of a past the model cannot explain at all, nobody knows: so they are not normal, but
 * have Student's long tails, lest that one outvotes all others (K. L. Lange, R. J. A. Little,
 * J. M. G. Taylor, "Robust Statistical Modeling Using the t Distribution", 1989).
 */
#include "postgres.h"

#include <math.h>

#include "planning/likely.h"

#define NEVER_NEARER	0.05	/* no simulation is, as a logarithm */
#define FREEDOM			4.0		/* of Student's t */

/* Twice the logarithm of how unlikely it is, but for a constant. little: as much is no difference; seen: variance of how it was seen. */
static double
figure_misfit(const PmEstimate *of, double measured, double little, double chance, double seen)
{
	double		most = of->mean + little;
	double		variance = NEVER_NEARER * NEVER_NEARER + (of->sd * of->sd * chance + seen) / (most * most);
	double		apart = log(most / (measured + little));

	return measured < 0 || most <= 0 || measured + little <= 0 ? 0 : (FREEDOM + 1) * log(1 + apart * apart / variance / FREEDOM) + log(variance);
}

/* Of a share of time, seen in ticks. */
static double
share_misfit(const PmEstimate *of, double measured, double little, double chance, double ticks)
{
	double		share = Min(of->mean, 1);

	return figure_misfit(of, measured, Max(little, 1 / ticks), chance, share * (1 - share) / ticks);
}

/* Likewise, of all figures. */
double
pm_misfit(const PmSimulated *simulated, int replications, const PmMeasured *measured)
{
	const PmEstimate *of = simulated->of;
	double		ticks = Max(measured->ticks, 1);
	double		own = 1.0 / replications;
	double		chance = simulated->share + own;

	return figure_misfit(&of[PM_SIM_DISPERSION], measured->dispersion, 0, chance, 0) +
		share_misfit(&of[PM_SIM_ALL_FULL], measured->exhausted, 0.002, chance, ticks) +
		share_misfit(&of[PM_SIM_OVERFLOW], measured->overflow, 0.01, chance, ticks) +
		figure_misfit(&of[PM_SIM_WAITING], measured->waiting, 0.005, own, 0) +
		figure_misfit(&of[PM_SIM_MEAN_WAIT], measured->mean_wait, 0.001, own, 0) +
		figure_misfit(&of[PM_SIM_TIMEOUT_SHARE], measured->timeouts, 0.005, own, 0) +
		figure_misfit(&of[PM_SIM_THROUGHPUT], measured->throughput, 0, own, 0);
}
