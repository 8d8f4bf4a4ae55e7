/*
 * guardmode.h
 *		How a pool's budget is kept at login. Pure.
 */
#ifndef PM_GUARDMODE_H
#define PM_GUARDMODE_H

/* In the order of what they do. */
typedef enum PmGuardMode
{
	PM_GUARD_OFF,
	PM_GUARD_REPORT,			/* counts what it would refuse */
	PM_GUARD_ENFORCE
} PmGuardMode;

/*
 * Connections that the limits and reserves in force together leave to anybody else, at
 * least: for an administrator, a backup, monitoring.
 */
#define PM_LEFT_TO_OTHERS	5

extern const char *pm_guard_mode_name(PmGuardMode mode);

#endif							/* PM_GUARDMODE_H */
