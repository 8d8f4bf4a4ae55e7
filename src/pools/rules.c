/*
 * rules.c
 *		Which pool a session belongs to, and how a pool is doing.
 *
 * Names are compared as bytes, because the worker has no database and so no
 * encoding. "_" stands for one character: a UTF-8 sequence where the bytes
 * form one, else one byte.
 */
#include "postgres.h"

#include "pools/characters.h"
#include "pools/rules.h"

/*
 * SQL's LIKE with backslash as the escape. Only the last "%" passed needs to
 * be remembered: any earlier one could absorb no more than it can. A pattern
 * that ends in a lone backslash matches nothing (the table refuses it).
 *
 * So no pattern keeps a login: each failure moves retry_string on, and what is tried from there
 * ends where the name does. Of a name of n bytes that is (n + 1)(n + 2) / 2 rounds at most,
 * and one for each "%": 2,335 for the longest pattern and name that there are.
 */
bool
pm_like(const char *pattern, const char *string)
{
	const char *retry_pattern = NULL;
	const char *retry_string = NULL;

	while (*string != '\0' || *pattern != '\0')
	{
		if (*pattern == '%')
		{
			retry_pattern = ++pattern;
			retry_string = string;
			continue;
		}
		if (*pattern == '_' && *string != '\0')
		{
			pattern++;
			string += pm_char_length(string);
			continue;
		}
		if (*pattern == '\\' && pattern[1] != '\0' && pattern[1] == *string)
		{
			pattern += 2;
			string++;
			continue;
		}
		if (*pattern != '\\' && *pattern != '_' && *pattern != '\0' && *pattern == *string)
		{
			pattern++;
			string++;
			continue;
		}
		if (retry_pattern == NULL || *retry_string == '\0')
			return false;
		retry_string += pm_char_length(retry_string);
		pattern = retry_pattern;
		string = retry_string;
	}
	return true;
}

/* As long as it may be at most. */
void
pm_pattern_set(PmPattern *pattern, const char *like)
{
	pattern->limited = true;
	pattern->prefix = strcspn(like, "%_\\");
	strlcpy(pattern->like, like, PM_PATTERN_LEN);
}

/* A Unix-domain socket is in no network. */
bool
pm_network_has(const PmNetwork *network, const PmAddr *addr)
{
	int			whole = network->bits / 8;
	int			rest = network->bits % 8;

	if (!network->limited)
		return true;
	if (addr->family == 0 || addr->family != network->addr.family)
		return false;
	if (memcmp(network->addr.bytes, addr->bytes, whole) != 0)
		return false;
	return rest == 0 ||
		((network->addr.bytes[whole] ^ addr->bytes[whole]) >> (8 - rest)) == 0;
}

typedef struct Measured
{
	const char *text;			/* NULL: unknown */
	size_t		length;
} Measured;

static Measured
measured(const char *text)
{
	return (Measured)
	{
		.text = text,.length = text != NULL ? strlen(text) : 0
	};
}

/*
 * Most patterns do not fit, and many are no more than a prefix, of which names that are
 * alike differ in the last byte. A pattern that is written meanwhile, see assign.c, may say
 * any prefix, but none beyond its end, nor is the name read beyond its own.
 */
static inline bool
name_fits(const PmPattern *pattern, Measured name)
{
	size_t		prefix = *(const volatile uint8 *) &pattern->prefix;	/* read once */

	if (!pattern->limited)
		return true;
	if (name.text == NULL || name.length < prefix)
		return false;
	if (prefix > 0 && (name.text[prefix - 1] != pattern->like[prefix - 1] ||
					   memcmp(pattern->like, name.text, prefix) != 0))
		return false;
	return pm_like(pattern->like + prefix, name.text + prefix);
}

typedef struct Names
{
	Measured	application_name;
	Measured	datname;
	Measured	usename;
} Names;

static bool
pool_fits(const PmPool *pool, const Names *names, const PmAddr *client_addr)
{
	return name_fits(&pool->application_name, names->application_name) &&
		name_fits(&pool->datname, names->datname) &&
		name_fits(&pool->usename, names->usename) &&
		pm_network_has(&pool->client_addr, client_addr);
}

/* Bytes; and as many again as make it whole words. */
Size
pm_leads_size(int npools)
{
	return TYPEALIGN(sizeof(uint64), npools);
}

/* The byte with which all application names of the pool begin; 0: there is none. */
uint8
pm_lead(const PmPool *pool)
{
	return pool->application_name.limited && pool->application_name.prefix > 0 ?
		(uint8) pool->application_name.like[0] : 0;
}

#define EIGHT_OF(byte)	(UINT64CONST(0x0101010101010101) * (uint8) (byte))

static inline bool
has_zero(uint64 eight)
{
	return ((eight - EIGHT_OF(0x01)) & ~eight & EIGHT_OF(0x80)) != 0;
}

/* May one of the eight pools with these leads have a name that begins so? */
static inline bool
may_fit(const uint8 *leads, uint64 eight_of_name)
{
	uint64		eight;

	memcpy(&eight, leads, sizeof(eight));
	return has_zero(eight) || has_zero(eight ^ eight_of_name);
}

/*
 * The first pool from this one on that matches, -1 for none. The pools are in matching order
 * already, see pm_declaration_compare(). Most cannot match by the first byte of the
 * application's name, of which eight are compared at once: leads has pm_lead() of each,
 * and pm_leads_size() bytes.
 */
int
pm_match(const PmPool *pools, const uint8 *leads, int from, int npools, const PmIdentity *who)
{
	Names		names = {
		.application_name = measured(who->application_name),
		.datname = measured(who->datname),
		.usename = measured(who->usename),
	};
	uint64		eight_of_name = EIGHT_OF(names.application_name.length > 0 ? who->application_name[0] : 0);

	for (int eight = from - from % (int) sizeof(uint64); eight < npools; eight += sizeof(uint64))
	{
		int			end = Min(eight + (int) sizeof(uint64), npools);

		if (!may_fit(leads + eight, eight_of_name))
			continue;
		for (int i = Max(eight, from); i < end; i++)
		{
			if (pool_fits(&pools[i], &names, &who->client_addr))
				return i;
		}
	}
	return -1;
}

/* Connections above base; none where the pool keeps all it opens. */
int
pm_overflow(const PmPool *pool, int connections)
{
	return pool->grows_from_zero ? 0 : Max(connections - pool->base, 0);
}

/*
 * At the ceiling a pool has no connection to give out, whatever its budget: one that may
 * open some more in need (PgBouncer's reserve) has a budget above it.
 */
bool
pm_pool_is(const PmPool *pool, PmCondition condition, const PmStanding *standing)
{
	switch (condition)
	{
		case PM_IS_EXHAUSTED:
			return pool->ceiling >= 0 && standing->busy >= pool->ceiling;
		case PM_IS_OVER:
			return pool->budget >= 0 && standing->connections > pool->budget;
		case PM_IS_STARVED:
			return standing->refused && (pool->budget < 0 || standing->connections < pool->budget);
		default:
			return false;
	}
}

PmStatus
pm_pool_status(const PmPool *pool, const PmStanding *standing)
{
	if (pm_pool_is(pool, PM_IS_STARVED, standing))
		return PM_STATUS_STARVED;
	if (pm_pool_is(pool, PM_IS_OVER, standing))
		return PM_STATUS_OVER;
	if (pm_pool_is(pool, PM_IS_EXHAUSTED, standing))
		return PM_STATUS_EXHAUSTED;
	if (pool->ceiling >= 0 && pm_overflow(pool, standing->connections) > 0)
		return PM_STATUS_OVERFLOW;
	return PM_STATUS_OK;
}

/* Less than 0, in either: unbounded, and then so is the sum. */
static void
add_bound(int64 *sum, int64 bound)
{
	*sum = *sum < 0 || bound < 0 ? -1 : *sum + bound;
}

/*
 * An unbounded pool counts with its explicit budget, if it has one. Deployments come one
 * after the other: of the surges the largest counts.
 */
PmDeclared
pm_declared(const PmPool *pools, int npools)
{
	PmDeclared	sum = {0};
	int			largest = 0;

	for (int i = 0; i < npools; i++)
	{
		const PmPool *pool = &pools[i];

		sum.base += pool->base;
		add_bound(&sum.ceiling, pool->ceiling >= 0 ? pool->ceiling : pool->budget);
		add_bound(&sum.budget, pool->budget_at_rest);
		add_bound(&sum.surged, pool->budget);
		largest = Max(largest, pool->budget - pool->budget_at_rest);
	}
	add_bound(&sum.budget, largest);
	return sum;
}

/* Declarations without a bound exceed every budget. */
PmServerStatus
pm_server_status(const PmDeclared *declared, int connection_budget, int connections, bool refused)
{
	if (refused)
		return PM_SERVER_FULL;
	if (connections > connection_budget)
		return PM_SERVER_OVER;
	if (declared->budget < 0 || declared->budget > connection_budget)
		return PM_SERVER_OVERCOMMITTED;
	return PM_SERVER_OK;
}

/* Its text in the table and the views; NULL when there is no such mode. */
const char *
pm_recycle_mode_name(PmRecycleMode mode)
{
	switch (mode)
	{
		case PM_RECYCLE_OFF:
			return "off";
		case PM_RECYCLE_REPORT:
			return "report";
		case PM_RECYCLE_TERMINATE:
			return "terminate";
	}
	return NULL;
}

const char *
pm_status_name(PmStatus status)
{
	switch (status)
	{
		case PM_STATUS_OK:
			return "ok";
		case PM_STATUS_OVERFLOW:
			return "overflow";
		case PM_STATUS_EXHAUSTED:
			return "exhausted";
		case PM_STATUS_OVER:
			return "over";
		case PM_STATUS_STARVED:
			return "starved";
	}
	return NULL;				/* keep the compiler quiet */
}

const char *
pm_server_status_name(PmServerStatus status)
{
	switch (status)
	{
		case PM_SERVER_OK:
			return "ok";
		case PM_SERVER_OVERCOMMITTED:
			return "overcommitted";
		case PM_SERVER_OVER:
			return "over";
		case PM_SERVER_FULL:
			return "full";
	}
	return NULL;				/* keep the compiler quiet */
}
