/*
 * publish.h
 *		Puts declarations in force.
 */
#ifndef PM_PUBLISH_H
#define PM_PUBLISH_H

#include "pools/rules.h"

extern bool pm_rules_publish(uint64 ticket, const PmPool *pools, int npools, int declared, Oid table);

#endif							/* PM_PUBLISH_H */
