/*
 * sampler.h
 *		One tick of the worker: peaks, statuses, and a log line where a pool
 *		runs out or recovers.
 */
#ifndef PM_SAMPLER_H
#define PM_SAMPLER_H

extern void pm_sample(void);

#endif							/* PM_SAMPLER_H */
