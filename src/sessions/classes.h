/*
 * classes.h
 *		Sessions that no declaration, and no row of "applications", can tell apart.
 */
#ifndef PM_CLASSES_H
#define PM_CLASSES_H

#include "base/identity.h"
#include "base/reason.h"
#include "pools/declared.h"
#include "sessions/session.h"

typedef struct PmClassKey
{
	const char *application_name;
	uint64		name_hash;
	Oid			datid;
	Oid			userid;
	uint64		identity;		/* pm_slot_identity(); 0: it has no slot */
	PmAddr		client_addr;
} PmClassKey;

/*
 * Lives as long as the declarations stay as they are (cache.c). What is below pass is
 * of one pass, and empty at its beginning: see pm_tally_class().
 */
typedef struct PmClass
{
	PmClassKey	key;
	char		application_name[NAMEDATALEN];
	int			name_size;		/* of that, with its terminating zero */
	bool		named;			/* the next two are known */
	char		datname[NAMEDATALEN];	/* as the client logged in */
	char		usename[NAMEDATALEN];
	int			pool;			/* index in rules, -1: none */
	int64		recycle_after;	/* us; of the pool, PG_INT64_MAX: never */
	int64		idle_limit;
	int64		leak_after;

	uint64		pass;
	int			account;		/* settle.c: -1 until it is looked up */
	uint32		incarnation;	/* of that */
	bool		role_known;		/* eligible.c: role_reason is filled in */
	PmReason	role_reason;	/* why the role's sessions are never retired */
	void	   *extra;			/* the caller's own, NULL at first */
} PmClass;

struct classes_hash;

extern struct classes_hash *pm_classes_create(MemoryContext context);
extern int	pm_classes_count(const struct classes_hash *classes);
extern PmClass *pm_class_find(struct classes_hash *classes, const PmRules *rules, PmClassKey *key,
							  const PmSession *session);
extern TimestampTz pm_class_calm_until(const PmClass *class, const PmSession *session);

#endif							/* PM_CLASSES_H */
