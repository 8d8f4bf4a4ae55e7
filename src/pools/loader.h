/*
 * loader.h
 *		Brings the declarations from the table into shared memory.
 */
#ifndef PM_LOADER_H
#define PM_LOADER_H

#include "catalog/pg_database.h"

extern bool pm_database_serves(Form_pg_database database);

/* Called by the worker at least once a second. */
extern void pm_loader_tick(void);

/* For the worker. */
extern bool pm_find_database(Oid *found);

/* For the process that has a database; see errands.c. */
extern void pm_load(uint64 ticket);
extern void pm_load_failed(uint64 ticket, const char *message);

#endif							/* PM_LOADER_H */
