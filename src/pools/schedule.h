/*
 * schedule.h
 *		When a pool's sessions may be retired: how far apart, and at which time
 *		of the day. Pure, but for the time zone's rules.
 */
#ifndef PM_SCHEDULE_H
#define PM_SCHEDULE_H

#include "datatype/timestamp.h"
#include "pools/rules.h"

extern const char *pm_window_parse(const char *text, PmWindow *window);
extern bool pm_window_open(const PmWindow *window, TimestampTz at);
extern int64 pm_pool_gap(const PmPool *pool, int64 lifetime, int64 connections);
extern double pm_pool_own_rate(const PmPool *pool, int64 connections);
extern int64 pm_retirement_gap(int64 lifetime, int64 connections);

#endif							/* PM_SCHEDULE_H */
