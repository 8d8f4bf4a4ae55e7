/*
 * reload.h
 *		Waiting for the declarations to be loaded.
 */
#ifndef PM_RELOAD_H
#define PM_RELOAD_H

#include "pools/declared.h"

typedef struct PmLoadOutcome
{
	PmLoadResult result;
	int			in_force;
	char		message[PM_LOAD_MESSAGE_LEN];
} PmLoadOutcome;

extern void pm_wait_for_load(uint64 ticket, PmLoadOutcome *outcome);

#endif							/* PM_RELOAD_H */
