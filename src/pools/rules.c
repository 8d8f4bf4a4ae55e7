/*
 * rules.c
 *		Which pool a session belongs to, and how a pool is doing.
 *
 * Names are compared as bytes, because the worker has no database and so no
 * encoding. "_" stands for one character: a UTF-8 sequence where the bytes
 * form one, else one byte.
 */
#include "postgres.h"

#include "pools/rules.h"

/* Bytes of the character at s, taking UTF-8 where it is well formed. */
static int
char_length(const char *s)
{
	unsigned char lead = (unsigned char) s[0];
	int			length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;

	for (int i = 1; i < length; i++)
	{
		if (((unsigned char) s[i] & 0xC0) != 0x80)
			return 1;
	}
	return length;
}

/*
 * SQL's LIKE with backslash as the escape. Only the last "%" passed needs to
 * be remembered: any earlier one could absorb no more than it can. A pattern
 * that ends in a lone backslash matches nothing (the table refuses it).
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
			string += char_length(string);
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
		retry_string += char_length(retry_string);
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
static bool
addr_fits(const PmNetwork *network, const PmAddr *addr)
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

/*
 * The first pool that matches, -1 for none. The pools are in matching order
 * already: by priority, then by name.
 */
int
pm_match(const PmPool *pools, int npools, const PmIdentity *who)
{
	Measured	application_name = measured(who->application_name);
	Measured	datname = measured(who->datname);
	Measured	usename = measured(who->usename);

	for (int i = 0; i < npools; i++)
	{
		const PmPool *pool = &pools[i];

		if (name_fits(&pool->application_name, application_name) &&
			name_fits(&pool->datname, datname) &&
			name_fits(&pool->usename, usename) &&
			addr_fits(&pool->client_addr, &who->client_addr))
			return i;
	}
	return -1;
}

/* Connections above base; none where the pool keeps all it opens. */
int
pm_overflow(const PmPool *pool, int connections)
{
	return pool->grows_from_zero ? 0 : Max(connections - pool->base, 0);
}

PmStatus
pm_pool_status(const PmPool *pool, int connections, int busy)
{
	if (pool->budget >= 0 && connections > pool->budget)
		return PM_STATUS_OVER;
	if (pool->ceiling < 0)
		return PM_STATUS_OK;
	if (busy >= pool->ceiling)
		return PM_STATUS_EXHAUSTED;
	if (pm_overflow(pool, connections) > 0)
		return PM_STATUS_OVERFLOW;
	return PM_STATUS_OK;
}

/* An unbounded pool counts with its explicit budget, if it has one. */
PmDeclared
pm_declared(const PmPool *pools, int npools)
{
	PmDeclared	sum = {0, 0};

	for (int i = 0; i < npools; i++)
	{
		int			most = pools[i].ceiling >= 0 ? pools[i].ceiling : pools[i].budget;

		sum.base += pools[i].base;
		if (most < 0 || sum.ceiling < 0)
			sum.ceiling = -1;
		else
			sum.ceiling += most;
	}
	return sum;
}

/* Declarations without a bound exceed every budget. */
PmServerStatus
pm_server_status(const PmDeclared *declared, int connection_budget, int connections)
{
	if (connections > connection_budget)
		return PM_SERVER_OVER;
	if (declared->ceiling < 0 || declared->ceiling > connection_budget)
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
	}
	return NULL;				/* keep the compiler quiet */
}
