/*
 * saved.h
 *		All that is in the file of statistics.
 *
 * Writing takes the lock of what it reads, unless the writer says that nobody else is
 * left. Reading is in the worker, and done twice: the first time dry, so that what makes
 * no sense is found before anything of it is used.
 */
#ifndef PM_SAVED_H
#define PM_SAVED_H

#include "statfile/statformat.h"

extern const PmLayouts pm_saved_layouts;

extern void pm_put_saved(PmWriter *writer);
extern bool pm_read_saved(const char *body, uint64 length, bool dry);

#endif							/* PM_SAVED_H */
