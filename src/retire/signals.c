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

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "retire/signals.h"

/*
 * Of /proc/PID/status. The line that is looked for stands in its second kilobyte,
 * but for a user in hundreds of groups.
 */
#define STATUS_SIZE 8192

/* What stands in the file, and a zero; false when it cannot be read. */
static bool
read_status(int pid, char *status)
{
	char		path[32];
	int			fd;
	ssize_t		length;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, status, STATUS_SIZE - 1);
	close(fd);
	status[Max(length, 0)] = '\0';
	return length > 0;
}

/*
 * Not so what is ignored: nobody would answer. True where /proc is not mounted, so
 * that it cannot be known; false when there is just no file descriptor left to look
 * with: it is asked again later. Raises nothing.
 */
bool
pm_catches_sigusr2(int pid)
{
	char		status[STATUS_SIZE];
	const char *line;

	if (!read_status(pid, status))
		return errno == ENOENT && access("/proc/self/status", F_OK) != 0;
	line = strstr(status, "\nSigCgt:");
	if (line == NULL)
		return true;
	return (strtoull(line + strlen("\nSigCgt:"), NULL, 16) >> (SIGUSR2 - 1) & 1) != 0;
}
