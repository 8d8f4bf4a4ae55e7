/*
 * finding.h
 *		Something odd about declarations that are valid.
 */
#ifndef PM_FINDING_H
#define PM_FINDING_H

/* Sentences without their full stop, but for recommendation, which is sentences. */
typedef struct PmFinding
{
	const char *pool;			/* NULL: the server */
	const char *rule;
	const char *finding;
	const char *evidence;
	const char *recommendation;
} PmFinding;

typedef void (*PmFindingCallback) (const PmFinding *finding, void *arg);

#endif							/* PM_FINDING_H */
