/*
 * saved_history.h
 *		The history in the file of statistics.
 */
#ifndef PM_SAVED_HISTORY_H
#define PM_SAVED_HISTORY_H

#include "statfile/statrows.h"

extern const PmLayout pm_ring_layout;
extern const PmLayout pm_start_layout;
extern const PmLayout pm_series_layout;
extern const PmLayout pm_bucket_layout;

extern void pm_put_history(PmWriter *writer);
extern bool pm_read_history(const PmRows *rows, bool dry);

#endif							/* PM_SAVED_HISTORY_H */
