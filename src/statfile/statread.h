/*
 * statread.h
 *		Reads the file of statistics.
 */
#ifndef PM_STATREAD_H
#define PM_STATREAD_H

/*
 * What an earlier run has written; logs what came of it. *read becomes true before anything
 * of it is used, and *used if it is. The caller holds off interrupts.
 */
extern void pm_statfile_read(bool *read, bool *used);

/* Where that could not be replaced; and the newest event of now. */
extern void pm_statfile_mark(uint64 last_event);

#endif							/* PM_STATREAD_H */
