/*
 * identity.h
 *		What identifies a session.
 */
#ifndef PM_IDENTITY_H
#define PM_IDENTITY_H

#define PM_NAME_LEN		64		/* a name with its terminating zero */

/* An IP address; family 0 is a Unix-domain socket, else 4 or 6. */
typedef struct PmAddr
{
	uint8		family;
	uint8		bytes[16];
} PmAddr;

/* What a declaration can ask of a session. A NULL name matches "any" only. */
typedef struct PmIdentity
{
	const char *application_name;
	const char *datname;
	const char *usename;
	PmAddr		client_addr;
} PmIdentity;

#endif							/* PM_IDENTITY_H */
