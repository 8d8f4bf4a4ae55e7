/*
 * reason.c
 *		What is known of each reason.
 */
#include "postgres.h"

#include "base/reason.h"

typedef struct Reason
{
	const char *id;
	const char *text;
	bool		lasts;
} Reason;

static const Reason reasons[] = {
#define PM_REASON(id, text, lasts) {#id, text, lasts},
#include "base/reasons.h"
#undef PM_REASON
};

/* Its name, for who compares lists. */
const char *
pm_reason_id(PmReason reason)
{
	return reasons[reason].id;
}

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
