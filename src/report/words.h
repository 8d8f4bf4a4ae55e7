/*
 * words.h
 *		Numbers and times for people. ASCII; in the caller's memory context.
 */
#ifndef PM_WORDS_H
#define PM_WORDS_H

#include "datatype/timestamp.h"

extern char *pm_number_words(double number);
extern char *pm_share_words(double share);
extern char *pm_seconds_words(double seconds);
extern char *pm_bytes_words(double bytes);
extern char *pm_day_words(TimestampTz at);
extern char *pm_clock_words(TimestampTz at, bool seconds);
extern char *pm_moment_words(TimestampTz at, bool seconds);

#endif							/* PM_WORDS_H */
