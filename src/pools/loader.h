/*
 * loader.h
 *		Brings the declarations from the table into shared memory.
 */
#ifndef PM_LOADER_H
#define PM_LOADER_H

/* For the process that has a database, which is to report an error by the latter. */
extern void pm_load(uint64 ticket);
extern void pm_load_failed(uint64 ticket, const ErrorData *error);

#endif							/* PM_LOADER_H */
