/*
 * table.h
 *		The table that declares, pool_monitor.pools: which one it is, whether it can
 *		be trusted, and its rows one by one.
 */
#ifndef PM_TABLE_H
#define PM_TABLE_H

#include "access/htup.h"
#include "catalog/pg_database.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef enum PmTableResult
{
	PM_TABLE_OPEN,
	PM_TABLE_NO_EXTENSION,
	PM_TABLE_MISSING
} PmTableResult;

/* Of the errors that an owner is not who he must be, in a load. */
#define PM_ERRCODE_OWNER ERRCODE_INVALID_ROLE_SPECIFICATION

/* Called for each row; false: no more. */
typedef bool (*PmRowCallback) (HeapTuple tuple, void *arg);

extern PmTableResult pm_table_open(Relation *table);
extern void pm_table_check_triggers(Relation table);
extern void pm_table_scan(Relation table, Snapshot snapshot, PmRowCallback callback, void *arg);
extern void pm_table_scan_now(Relation table, PmRowCallback callback, void *arg);
extern int64 pm_table_count_now(Relation table);
extern bool pm_catalog_row(Oid catalog, Oid index, AttrNumber oid_column, Oid object, Snapshot snapshot,
						   PmRowCallback callback, void *arg);
extern char *pm_extension_name(Oid extension);
extern bool pm_database_serves(Form_pg_database database);

#endif							/* PM_TABLE_H */
