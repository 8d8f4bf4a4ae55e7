/*
 * answer.h
 *		The handler of SIGUSR2: may this session be retired, at this instant?
 */
#ifndef PM_ANSWER_H
#define PM_ANSWER_H

#include "sessions/slot.h"

extern void pm_answer_for(PmSlot *slot);
extern void pm_answer_as(Oid role);
extern void pm_answer_request(SIGNAL_ARGS);

#endif							/* PM_ANSWER_H */
