/*
 * first.h
 *		Whose the first was of the logins that fail one soon after the other. Pure.
 */
#ifndef PM_FIRST_H
#define PM_FIRST_H

#include "base/identity.h"
#include "port/atomics.h"

/* Those of which the first is kept. */
typedef enum PmFailureKind
{
	PM_FAILURE_AUTH,
	PM_FAILURE_REJECTED,
	PM_NUM_FAILURES
} PmFailureKind;

/*
 * Whose the first failed login was, of those that come one soon after the other.
 *
 *		NONE -> WRITING -> THERE	the process that fails, which holds the account
 *		THERE -> NONE				the worker, when no other has come for a while
 */
#define PM_FIRST_NONE		0
#define PM_FIRST_WRITING	1
#define PM_FIRST_THERE		2

typedef struct PmFirstFailure
{
	pg_atomic_uint32 state;
	char		datname[PM_NAME_LEN];
	char		usename[PM_NAME_LEN];
	PmAddr		client_addr;
} PmFirstFailure;

#endif							/* PM_FIRST_H */
