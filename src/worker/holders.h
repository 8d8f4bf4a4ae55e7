/*
 * holders.h
 *		Who holds connections that are not busy.
 */
#ifndef PM_HOLDERS_H
#define PM_HOLDERS_H

#include "lib/stringinfo.h"

extern void pm_holders_begin(int64 elapsed);
extern void pm_holders_see(int account, bool busy);
extern void pm_holders_end(void);
extern void pm_holders_text(StringInfo text);
extern void pm_holders_json(StringInfo json, int room);

#endif							/* PM_HOLDERS_H */
