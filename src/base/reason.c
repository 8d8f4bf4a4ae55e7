/*
 * reason.c
 *		What is known of each reason.
 */
#include "postgres.h"

#include "base/reason.h"

typedef struct Reason
{
	const char *text;
	bool		lasts;
} Reason;

static const Reason reasons[] = {
#define PM_REASON(id, text, lasts) {text, lasts},
#include "base/reasons.h"
#undef PM_REASON
};

/* In the words of the views; NULL: nothing speaks against it. */
const char *
pm_reason_text(PmReason reason)
{
	return reasons[reason].text;
}

/* Is a session that declined so likely to decline again? */
bool
pm_reason_lasts(PmReason reason)
{
	return reasons[reason].lasts;
}
