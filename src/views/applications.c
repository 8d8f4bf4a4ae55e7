/*
 * applications.c
 *		The view applications: who is there, by application, database, role, pool.
 */
#include "postgres.h"

#include "base/identity.h"
#include "base/result.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "sessions/scan.h"
#include "sessions/tally.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "views/common.h"

typedef struct ApplicationKey
{
	char		application_name[NAMEDATALEN];
	Oid			datid;
	Oid			userid;
	int			pool;			/* -1: none, or not for the caller to know */
} ApplicationKey;

typedef struct Application
{
	ApplicationKey key;			/* first, for dynahash */
	bool		visible;
	PmCounts	counts;
	int			hosts;
	PmAddr		last_host;		/* spares most look-ups in hosts */
} Application;

typedef struct HostKey
{
	Application *application;
	PmAddr		addr;
} HostKey;

static HTAB *
create_table(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {
		.keysize = keysize,
		.entrysize = entrysize,
		.hcxt = CurrentMemoryContext,
	};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static Application *
find_application(HTAB *applications, const PmTally *tally, PmClass *class)
{
	ApplicationKey key;
	Application *application;
	bool		visible = pm_may_see(class->key.userid);
	bool		found;

	memset(&key, 0, sizeof(key));
	strlcpy(key.application_name, class->application_name, NAMEDATALEN);
	key.datid = class->key.datid;
	key.userid = class->key.userid;
	key.pool = pm_visible_pool(tally, class, visible);

	application = hash_search(applications, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) application + sizeof(key), 0, sizeof(*application) - sizeof(key));
		application->visible = visible;
	}
	return application;
}

static void
count_host(HTAB *hosts, Application *application, const PmAddr *addr)
{
	HostKey		key;
	bool		found;

	if (application->hosts > 0 && application->last_host.family == addr->family &&
		(addr->family == 0 || memcmp(&application->last_host, addr, sizeof(*addr)) == 0))
		return;
	application->last_host = *addr;
	memset(&key, 0, sizeof(key));
	key.application = application;
	key.addr = *addr;
	hash_search(hosts, &key, HASH_ENTER, &found);
	application->hosts += !found;
}

static void
put_application(ReturnSetInfo *result, const PmTally *tally, const Application *application)
{
	PmRow		row = {0};
	const PmCounts *counts = &application->counts;
	int			pool = application->key.pool;

	pm_put_text(&row, application->key.application_name);
	pm_put_name(&row, get_database_name(application->key.datid));
	pm_put_name(&row, GetUserNameFromId(application->key.userid, true));
	pm_put_text(&row, pool < 0 ? NULL : tally->rules->pools[pool].name);
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

PG_FUNCTION_INFO_V1(pm_applications);

Datum
pm_applications(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	HTAB	   *applications = create_table("pool_monitor applications", sizeof(ApplicationKey), sizeof(Application));
	HTAB	   *hosts = create_table("pool_monitor hosts", sizeof(HostKey), sizeof(HostKey));
	HASH_SEQ_STATUS all;
	Application *application;
	PmTally		tally;
	PmScan		scan;
	const PmSession *session;

	InitMaterializedSRF(fcinfo, 0);
	pm_tally_begin(&tally);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&tally, session);
		PmFlags		flags = pm_tally_flags(&tally, session);

		if (class->extra == NULL)
		{
			class->extra = find_application(applications, &tally, class);
			count_host(hosts, class->extra, &class->key.client_addr);
		}
		application = class->extra;
		pm_count(&tally, &application->counts, session, &flags);
	}

	hash_seq_init(&all, applications);
	while ((application = hash_seq_search(&all)) != NULL)
		put_application(result, &tally, application);
	return (Datum) 0;
}
