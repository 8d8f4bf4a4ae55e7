/*
 * lintnames.h
 *		What declarations ask for by name, and whether there is such a thing.
 */
#ifndef PM_LINTNAMES_H
#define PM_LINTNAMES_H

#include "pools/rules.h"

extern const char *pm_lint_text(const char *pattern);

/* The names in a shared catalog, read when they are first needed; all zero before. */
typedef struct PmCatalogNames
{
	NameData   *names;
	int			n;
	int			room;
	bool		read;
} PmCatalogNames;

extern bool pm_database_exists(PmCatalogNames *databases, const PmPattern *pattern);
extern bool pm_role_exists(PmCatalogNames *roles, const PmPattern *pattern);

#endif							/* PM_LINTNAMES_H */
