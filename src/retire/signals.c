/*
 * signals.c
 *		Would a process survive SIGUSR2?
 *
 * A session's handler is installed when it is authenticated. A library that it
 * loads later may take the signal for itself, and put back the default action when
 * it is done; SIGUSR2 would then kill the backend, and the server would end all other
 * sessions. The kernel tells, of each process of our own user, which signals it
 * catches. Whose handler it is cannot be seen from outside: another's does not
 * answer, and its session is remembered as one that did not.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "base/procstatus.h"
#include "retire/signals.h"

/*
 * Not so what is ignored: nobody would answer. True where /proc is not mounted, so
 * that it cannot be known; false when there is just no file descriptor left to look
 * with: it is asked again later. Raises nothing.
 */
bool
pm_catches_sigusr2(int pid)
{
	uint64		caught;

	switch (pm_proc_status(pid, "SigCgt", 16, &caught))
	{
		case PM_PROC_FOUND:
			return (caught >> (SIGUSR2 - 1) & 1) != 0;
		case PM_PROC_NO_LINE:
			return true;
		case PM_PROC_NO_FILE:
			break;
	}
	return errno == ENOENT && access("/proc/self/status", F_OK) != 0;
}
