/*
 * declarations.h
 *		Notices, in the backend that does it, that declarations change.
 */
#ifndef PM_DECLARATIONS_H
#define PM_DECLARATIONS_H

extern void pm_declarations_install(void);

#endif							/* PM_DECLARATIONS_H */
