/*
 * simulate_use.h
 *		What clients do with their connections beside what the server sees of it.
 */
#ifndef PM_SIMULATE_USE_H
#define PM_SIMULATE_USE_H

#include "history/read.h"

/* As clients report it. */
typedef struct PmUse
{
	bool		known;			/* else the rest says that a transaction is a
								 * checkout */
	double		per_transaction;	/* checkouts */
	double		mean;			/* s, that a checkout has its connection */
	double		in_transaction; /* share of this time */
} PmUse;

extern void pm_use_take(PmUse *use, const PmRingCopy *minutes);
extern double pm_use_dispersion(const PmUse *use, double of_transactions);
extern double pm_use_exhausted(const PmUse *use, double seen, int ceiling);

#endif							/* PM_SIMULATE_USE_H */
