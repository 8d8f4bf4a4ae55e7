/*
 * exempt.h
 *		Roles whose logins the guard never refuses.
 */
#ifndef PM_EXEMPT_H
#define PM_EXEMPT_H

/*
 * In a login, after authentication, about to be refused: looks the role up, in catalogs.
 * Superusers are exempt if that is said. True also where it cannot be told. Raises nothing
 * but what ends the process anyway.
 */
extern bool pm_role_is_exempt(const char *name, bool superusers);

#endif							/* PM_EXEMPT_H */
