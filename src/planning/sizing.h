/*
 * sizing.h
 *		Capacity and queueing mathematics. Pure: no memory, no errors, nothing of
 *		the server.
 *
 * load: offered load in connections, rate * mean hold time; 0 or more.
 */
#ifndef PM_SIZING_H
#define PM_SIZING_H

typedef struct PmPlan
{
	int64		base;			/* connections at rest */
	int64		ceiling;		/* the most; -1: unbounded, as what follows */
	int64		buffer;			/* on top: for a surge, and not to run dry */
	int64		required;		/* max_connections */
} PmPlan;

extern double pm_erlang_b(int connections, double load);
extern double pm_erlang_c(int connections, double load);
extern double pm_load_carried(int connections, double waiting);
extern double pm_mean_wait(int connections, double load, double hold);
extern double pm_mean_queue(int connections, double load);
extern double pm_wait_quantile(int connections, double load, double hold, double quantile);
extern double pm_timeout_probability(int connections, double load, double hold, double timeout);
extern int	pm_needed_each(int busy, int processes);
extern int	pm_connections_needed(double load, double hold, double timeout, double target, int most);
extern void pm_plan(int64 processes, int64 surge_processes, int pool_size, int max_overflow, double headroom_percent, PmPlan *plan);

#endif							/* PM_SIZING_H */
