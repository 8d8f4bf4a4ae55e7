/*
 * parts.h
 *		The parts of the page, from its head to its foot. Each writes nothing but a sentence
 *		where there is nothing to tell.
 */
#ifndef PM_REPORT_PARTS_H
#define PM_REPORT_PARTS_H

#include "base/guc.h"
#include "report/document.h"
#include "report/html.h"

#define PM_MOST_SHOWN	PM_MOST_POOLS	/* that no server has more of */

/* What all parts read. */
typedef struct PmReport
{
	PmDoc		all;
	PmDoc		pools;
	int			npools;			/* that are shown */
	PmDoc		events;			/* the last */
	TimestampTz since;
	TimestampTz until;
} PmReport;

extern void pm_report_begin(PmReport *report, PmDoc all);
extern bool pm_report_is_watched(const PmReport *report);

extern void pm_report_title(PmPage *page, const PmReport *report);
extern void pm_part_head(PmPage *page, const PmReport *report);
extern void pm_put_standing(PmPage *page, const PmReport *report);
extern void pm_part_server(PmPage *page, const PmReport *report);
extern void pm_part_pools(PmPage *page, const PmReport *report);
extern void pm_part_undeclared(PmPage *page, const PmReport *report);
extern void pm_part_incidents(PmPage *page, const PmReport *report);
extern void pm_part_events(PmPage *page, const PmReport *report);
extern void pm_part_decisions(PmPage *page, const PmReport *report);
extern void pm_part_foot(PmPage *page, const PmReport *report);

extern const char *pm_status_class(const char *status);
extern void pm_put_chip(PmPage *page, const char *status);
extern void pm_put_rest(PmPage *page, PmDoc array, int shown);
extern void pm_curve_figure(PmPage *page, const PmReport *report, PmDoc whose, const char *name);

#endif							/* PM_REPORT_PARTS_H */
