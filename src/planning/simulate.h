/*
 * simulate.h
 *		A pool's processes as queues, event after event. Takes memory, and can be cancelled;
 *		knows nothing of the server.
 */
#ifndef PM_SIMULATE_H
#define PM_SIMULATE_H

#include "planning/simulation.h"

extern void pm_simulate(const PmSimulation *simulation, PmSimulated *simulated);

#endif							/* PM_SIMULATE_H */
