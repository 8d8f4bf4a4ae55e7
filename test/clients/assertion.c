/*
 * assertion.c
 *		What Assert() calls in a program that is no server, of a server with
 *		assertions. Without postgres.h: its prototype has an argument more in 15
 *		than later, and the first is the same.
 */
#include <stdio.h>
#include <stdlib.h>

void		ExceptionalCondition(const char *condition);

void
ExceptionalCondition(const char *condition)
{
	fprintf(stderr, "TRAP: %s\n", condition);
	abort();
}
