/*
 * statrows.h
 *		Reads rows by the description that comes with them; see statformat.h.
 */
#ifndef PM_STATROWS_H
#define PM_STATROWS_H

#include "statfile/statformat.h"

/* Rows of one layout of ours, as the file has them. */
typedef struct PmRows
{
	const PmLayout *layout;
	const char *at;
	uint32		n;
	int			mapping;		/* how the file has them */
} PmRows;

/*
 * Whom read rows are for; dry: only to be looked at. False where they make no sense.
 * NULL rows: that was all.
 */
typedef bool (*PmRowsUser) (const PmRows *rows, bool dry);

extern bool pm_read_body(const char *body, uint64 length, const PmLayouts *layouts, PmRowsUser user, bool dry);
extern bool pm_rows_have(const PmRows *rows, const char *field);
extern bool pm_read_row(const PmRows *rows, uint32 n, void *row);

/* What the file has and we do not know; empty: nothing. Begun anew with each body. */
extern const char *pm_left_out(void);
extern void pm_leave_out(const char *what, const char *name);

#endif							/* PM_STATROWS_H */
