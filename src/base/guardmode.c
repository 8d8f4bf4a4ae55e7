/*
 * guardmode.c
 *		How a pool's budget is kept at login.
 */
#include "postgres.h"

#include "base/guardmode.h"

/* As the column and the setting have it; NULL: there is no such mode. */
const char *
pm_guard_mode_name(PmGuardMode mode)
{
	switch (mode)
	{
		case PM_GUARD_OFF:
			return "off";
		case PM_GUARD_REPORT:
			return "report";
		case PM_GUARD_ENFORCE:
			return "enforce";
	}
	return NULL;
}
