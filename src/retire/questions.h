/*
 * questions.h
 *		The worker's questions that have no answer yet.
 */
#ifndef PM_QUESTIONS_H
#define PM_QUESTIONS_H

#include "retire/ask.h"

extern void pm_questions_start(void);
extern bool pm_questions_allowed(void);
extern bool pm_questions_full(void);
extern bool pm_questions_at_limit(void);
extern bool pm_is_asking(int account);
extern bool pm_question_put(const PmAsk *ask, int64 gap, int64 now);
extern bool pm_question_put_for(const PmAsk *ask, int seat);
extern bool pm_questions_look(bool late);
extern int64 pm_questions_wait(int64 otherwise);

#endif							/* PM_QUESTIONS_H */
