/*
 * pool_monitor_settings.c
 *		Logs which settings a background worker goes by when it commits: nobody else can ask
 *		it. To be preloaded; pool_monitor_settings.names has the settings, with commas.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "postmaster/bgworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

static char *names;

static void
log_settings(void)
{
	StringInfoData line;
	List	   *list;
	ListCell   *cell;

	initStringInfo(&line);
	if (!SplitIdentifierString(pstrdup(names), ',', &list))
		elog(ERROR, "invalid pool_monitor_settings.names");
	foreach(cell, list)
	{
		const char *value = GetConfigOption(lfirst(cell), true, false);

		if (value != NULL)
			appendStringInfo(&line, " %s=\"%s\"", (char *) lfirst(cell), value);
	}
	ereport(LOG, (errmsg_internal("settings of %s:%s", MyBgworkerEntry->bgw_type, line.data)));
}

static void
at_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && MyBgworkerEntry != NULL)
		log_settings();
}

void
_PG_init(void)
{
	DefineCustomStringVariable("pool_monitor_settings.names", "Settings to log.", NULL, &names, "",
							   PGC_POSTMASTER, 0, NULL, NULL, NULL);
	RegisterXactCallback(at_transaction, NULL);
}
