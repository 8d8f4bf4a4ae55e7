/*
 * rows.h
 *		A row of pool_monitor.pools, checked, as a declaration.
 */
#ifndef PM_ROWS_H
#define PM_ROWS_H

#include "access/htup.h"
#include "pools/columns.h"
#include "pools/values.h"

extern void pm_row_read(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration);
extern bool pm_row_is_good(const PmColumns *columns, HeapTuple tuple, PmDeclaration *declaration);

extern int	pm_declaration_compare(const PmDeclaration *a, const PmDeclaration *b);
extern bool pm_declaration_acts(const PmDeclaration *declaration);
extern char *pm_declaration_acts_by(const PmDeclaration *declaration);
extern bool pm_declaration_matches_alike(const PmDeclaration *a, const PmDeclaration *b);

#endif							/* PM_ROWS_H */
