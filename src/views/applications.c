/*
 * applications.c
 *		The view applications: who is there, by application, database, role, pool.
 */
#include "postgres.h"

#include "base/identity.h"
#include "base/result.h"
#include "common/hashfn.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/builtins.h"
#include "views/common.h"

/*
 * One row. A class is finer: it has one address, and one pair of names of login. So
 * what is asked of hosts is asked once for each class, too.
 */
typedef struct Application
{
	const PmClass *class;		/* the first that was met of it */
	int			pool;			/* -1: none, or not for the caller to know */
	bool		visible;
	int			hosts;
	PmCounts	counts;
	struct Application *next;
} Application;

typedef struct ApplicationEntry
{
	const Application *key;
	Application *application;
	uint32		hash;
	char		status;
} ApplicationEntry;

static inline uint32
application_hash(const Application *application)
{
	const PmClassKey *key = &application->class->key;
	uint64		hash = key->name_hash ^ ((uint64) key->datid << 32 | key->userid);

	return (uint32) murmurhash32((uint32) (hash ^ (hash >> 32)) + (uint32) application->pool);
}

static inline bool
application_equal(const Application *a, const Application *b)
{
	return a->class->key.name_hash == b->class->key.name_hash &&
		a->class->key.datid == b->class->key.datid &&
		a->class->key.userid == b->class->key.userid &&
		a->pool == b->pool &&
		strcmp(a->class->application_name, b->class->application_name) == 0;
}

#define SH_PREFIX applications
#define SH_ELEMENT_TYPE ApplicationEntry
#define SH_KEY_TYPE const Application *
#define SH_KEY key
#define SH_HASH_KEY(table, k) application_hash(k)
#define SH_EQUAL(table, a, b) application_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct HostKey
{
	const Application *application;
	PmAddr		addr;
} HostKey;

typedef struct HostEntry
{
	HostKey		key;
	char		status;
} HostEntry;

static inline uint32
host_hash(const HostKey *key)
{
	return hash_combine(hash_bytes(key->addr.bytes, sizeof(key->addr.bytes)),
						(uint32) murmurhash32((uint32) (uintptr_t) key->application));
}

#define SH_PREFIX hosts
#define SH_ELEMENT_TYPE HostEntry
#define SH_KEY_TYPE HostKey
#define SH_KEY key
#define SH_HASH_KEY(table, k) host_hash(&(k))
#define SH_EQUAL(table, a, b) ((a).application == (b).application && memcmp(&(a).addr, &(b).addr, sizeof(PmAddr)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What one call has found. */
typedef struct Look
{
	PmTally		tally;
	PmViewer	viewer;
	applications_hash *applications;
	hosts_hash *hosts;
	Application *first;
	Application **last;			/* where the next one is linked */
} Look;

static Application *
find_application(Look *look, const PmClass *class)
{
	bool		visible = pm_viewer_sees(&look->viewer, class->key.userid);
	Application wanted = {.class = class,.pool = pm_visible_pool(&look->tally, class, visible),.visible = visible};
	ApplicationEntry *entry = applications_lookup(look->applications, &wanted);
	Application *application;
	bool		found;

	if (entry != NULL)
		return entry->application;
	application = palloc(sizeof(Application));
	*application = wanted;
	*look->last = application;
	look->last = &application->next;
	entry = applications_insert(look->applications, application, &found);
	entry->application = application;
	return application;
}

/* A class that was not met before in this pass. */
static Application *
add_class(Look *look, const PmClass *class)
{
	Application *application = find_application(look, class);
	HostKey		key = {.application = application,.addr = class->key.client_addr};
	bool		found;

	hosts_insert(look->hosts, key, &found);
	application->hosts += !found;
	return application;
}

static void
put_application(ReturnSetInfo *result, Look *look, const Application *application)
{
	PmRow		row;
	const PmCounts *counts = &application->counts;
	const PmClassKey *key = &application->class->key;

	pm_row_begin(&row);
	pm_put_text(&row, application->class->application_name);
	pm_put_made(&row, pm_viewer_database(&look->viewer, key->datid));
	pm_put_made(&row, pm_viewer_role(&look->viewer, key->userid));
	pm_put_text(&row, application->pool < 0 ? NULL : look->tally.rules->pools[application->pool].name);
	pm_put_int(&row, counts->connections);
	if (application->visible)
	{
		pm_put_counts(&row, counts);
		pm_put_findings(&row, counts);
		pm_put_int(&row, application->hosts);
		pm_put_longest(&row, counts);
	}
	else
	{
		for (int i = 0; i < 11; i++)
			pm_put_null(&row);
	}
	pm_put_row(result, &row);
}

static void
begin(Look *look)
{
	pm_tally_begin(&look->tally);
	pm_viewer_begin(&look->viewer);
	look->applications = applications_create(CurrentMemoryContext, 32, NULL);
	look->hosts = hosts_create(CurrentMemoryContext, 32, NULL);
	look->first = NULL;
	look->last = &look->first;
}

PG_FUNCTION_INFO_V1(pm_applications);

Datum
pm_applications(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmScan		scan;
	const PmSession *session;
	Look		look;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	begin(&look);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&look.tally, session);
		PmFlags		flags = pm_tally_flags(&look.tally, session);

		if (unlikely(class->extra == NULL))
			class->extra = add_class(&look, class);
		pm_count(&look.tally, &((Application *) class->extra)->counts, session, &flags);
	}

	for (Application *application = look.first; application != NULL; application = application->next)
		put_application(result, &look, application);
	return (Datum) 0;
}
