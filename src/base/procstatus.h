/*
 * procstatus.h
 *		What the kernel says of a process.
 */
#ifndef PM_PROCSTATUS_H
#define PM_PROCSTATUS_H

/* Is there such a line? Where not, can it be known at all? */
typedef enum PmProcLine
{
	PM_PROC_FOUND,
	PM_PROC_NO_LINE,
	PM_PROC_NO_FILE				/* see errno */
} PmProcLine;

extern PmProcLine pm_proc_status(int pid, const char *name, int base, uint64 *value);

#endif							/* PM_PROCSTATUS_H */
