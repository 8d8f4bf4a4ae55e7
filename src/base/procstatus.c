/*
 * procstatus.c
 *		What the kernel says of a process: a number in /proc/PID/status.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/procstatus.h"

/*
 * The lines that are looked for stand in the first two kilobytes, but for a user in
 * hundreds of groups.
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

/* The number in the line of this name, which is not the first one. Raises nothing. */
PmProcLine
pm_proc_status(int pid, const char *name, int base, uint64 *value)
{
	char		status[STATUS_SIZE];
	char		head[32];
	const char *line;

	if (!read_status(pid, status))
		return PM_PROC_NO_FILE;
	snprintf(head, sizeof(head), "\n%s:", name);
	line = strstr(status, head);
	if (line == NULL)
		return PM_PROC_NO_LINE;
	*value = strtoull(line + strlen(head), NULL, base);
	return PM_PROC_FOUND;
}
