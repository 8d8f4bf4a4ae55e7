/*
 * common.h
 *		What several live views show, and of whom.
 */
#ifndef PM_COMMON_H
#define PM_COMMON_H

#include "accounts/counters.h"
#include "base/identity.h"
#include "base/result.h"
#include "sessions/tally.h"

/*
 * What one query may see, and the names that it has looked up last; of one pass
 * mostly the same again.
 */
typedef struct PmViewer
{
	bool		sees_all;
	Oid			userid;			/* invalid: none yet */
	bool		visible;		/* of that role */
	bool		has_usename;
	NameData	usename;
	Oid			datid;			/* invalid: none yet */
	bool		has_datname;
	NameData	datname;
} PmViewer;

extern void pm_viewer_begin(PmViewer *viewer);
extern bool pm_viewer_sees(PmViewer *viewer, Oid userid);
extern Datum pm_viewer_role(PmViewer *viewer, Oid userid);
extern Datum pm_viewer_database(PmViewer *viewer, Oid datid);
extern void pm_put_counts(PmRow *row, const PmCounts *counts);
extern void pm_put_counter(PmRow *row, PmCounter counter, uint64 value);
extern void pm_put_longest(PmRow *row, const PmCounts *counts);
extern void pm_put_findings(PmRow *row, const PmCounts *counts);
extern void pm_put_statement(PmRow *row, const char *statement);
extern void pm_put_application(PmRow *row, const PmOwner *owner);
extern int	pm_visible_pool(const PmTally *tally, const PmClass *class, bool visible);
extern TimestampTz pm_shown_since(int followed, TimestampTz since, int shown, int mildest_held, TimestampTz now);
extern void pm_nap(const char *wait_event, long ms);

#endif							/* PM_COMMON_H */
