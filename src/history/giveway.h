/*
 * giveway.h
 *		Which series of an application gives way to an application that has none.
 */
#ifndef PM_GIVEWAY_H
#define PM_GIVEWAY_H

#include "history/rings.h"

/* So large it is; admitted, it had sessions. */
extern int	pm_series_giving_way(const PmOwner *owner, bool admitted, int size);

#endif							/* PM_GIVEWAY_H */
