/*
 * inserted.h
 *		What is odd about rows that are inserted into pool_monitor.pools: warnings.
 */
#ifndef PM_INSERTED_H
#define PM_INSERTED_H

#include "access/htup.h"
#include "utils/relcache.h"

extern void pm_inserted_note(Relation table, HeapTuple tuple);
extern void pm_inserted_forget(void);
extern void pm_inserted_lint(Relation table);

#endif							/* PM_INSERTED_H */
