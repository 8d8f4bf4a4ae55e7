/*
 * which_pool.c
 *		which_pool(): who would take a session, and who else would have.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "base/result.h"
#include "base/shmem.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"

/* As the server cuts a name; NULL: it is not known. */
static const char *
get_name(FunctionCallInfo fcinfo, int arg)
{
	char	   *name;

	if (PG_ARGISNULL(arg))
		return NULL;
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	name[pg_mbcliplen(name, strlen(name), PM_NAME_LEN - 1)] = '\0';
	return name;
}

static PmAddr
get_addr(FunctionCallInfo fcinfo, int arg)
{
	PmAddr		addr = {0};
	inet	   *value;

	if (PG_ARGISNULL(arg))
		return addr;
	value = PG_GETARG_INET_PP(arg);
	addr.family = ip_family(value) == PGSQL_AF_INET ? 4 : 6;
	memcpy(addr.bytes, ip_addr(value), addr.family == 4 ? 4 : 16);
	return addr;
}

/* Those from this one on that match, as text[]. */
static Datum
others(const PmRules *rules, int from, const PmIdentity *who)
{
	ArrayBuildState *names = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	int			next;

	while ((next = pm_match(rules->pools, rules->leads, from, rules->npools, who)) >= 0)
	{
		from = next + 1;
		names = accumArrayResult(names, CStringGetTextDatum(rules->pools[next].name), false, TEXTOID,
								 CurrentMemoryContext);
	}
	return makeArrayResult(names, CurrentMemoryContext);
}

PG_FUNCTION_INFO_V1(pm_which_pool);

/* which_pool(application_name text, datname text, usename text, client_addr inet) */
Datum
pm_which_pool(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PmIdentity	who;
	const PmRules *rules;
	int			pool;
	PmRow		row = {0};

	pm_require_preload();
	pm_warn_if_never_loaded();
	who.application_name = get_name(fcinfo, 0);
	who.datname = get_name(fcinfo, 1);
	who.usename = get_name(fcinfo, 2);
	who.client_addr = get_addr(fcinfo, 3);

	InitMaterializedSRF(fcinfo, 0);
	rules = pm_rules_current();
	pool = pm_match(rules->pools, rules->leads, 0, rules->npools, &who);
	pm_put_text(&row, pool >= 0 ? rules->pools[pool].name : NULL);
	pm_put(&row, others(rules, pool >= 0 ? pool + 1 : rules->npools, &who));
	pm_put_row(result, &row);
	return (Datum) 0;
}
