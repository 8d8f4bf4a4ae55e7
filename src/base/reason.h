/*
 * reason.h
 *		Why a session is not retired.
 */
#ifndef PM_REASON_H
#define PM_REASON_H

typedef enum PmReason
{
#define PM_REASON(id, text, lasts) PM_REASON_##id,
#include "base/reasons.h"
#undef PM_REASON
	PM_NUM_REASONS
} PmReason;

extern const char *pm_reason_text(PmReason reason);
extern bool pm_reason_lasts(PmReason reason);

#endif							/* PM_REASON_H */
