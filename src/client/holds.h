/*
 * holds.h
 *		How long a session's transactions keep its connection.
 */
#ifndef PM_HOLDS_H
#define PM_HOLDS_H

#include "access/xact.h"
#include "accounts/sheet.h"
#include "sessions/slot.h"

extern void pm_holds_install(void);
extern void pm_holds_begin(PmSheet *sheet, PmSlot *slot);
extern void pm_hold_end(XactEvent event);
extern bool pm_hold_reports(Oid function);
extern void pm_holds_finish(void);

#endif							/* PM_HOLDS_H */
