/*
 * patterns.c
 *		What declarations ask for, compared with each other.
 *
 * Does one pattern match every name that another one matches? Take the narrow one for a
 * name: its "_" is a character, and its "%" a stretch of them, that stand in neither
 * pattern. Such a character only a wildcard of the wide pattern can match, and such a
 * stretch, of which the length is not known, only a "%". So the wide pattern is matched
 * against the tokens of the narrow one. What a run of wildcards of the wide pattern asks
 * for at least, its "_", must be there though the narrow one's "%" stand for nothing: these
 * are passed over when it is counted, wherever in the run they are ("_%a" takes all of
 * "%a", of which the least is one character).
 *
 * That some choice of the characters of which a "%" and a "_" may stand for needs another
 * match does not matter: where each of them has a match, one of these fits them all. (Let a
 * "%" of the narrow pattern stand for nothing, and for more than the wide one has: if it
 * lies in a "%" of the wide pattern in the first match, that is it. If not, it lies in one
 * in the second; what comes up to there in the one match and after it in the other, put
 * together, is a match with at least as much in that run as the first one has.)
 *
 * That names end somewhere (63 bytes) is left out. Where a pattern has bytes that are no
 * UTF-8, what "_" takes depends on what is beside it: then nothing is said but for equals.
 */
#include "postgres.h"

#include "pools/characters.h"
#include "pools/patterns.h"

/* A run of wildcards. */
typedef struct Run
{
	int			least;			/* characters: its "_" */
	bool		more;			/* or more: it has a "%" */
} Run;

static bool
is_wildcard(char c)
{
	return c == '%' || c == '_';
}

/* Moves on over the wildcards that are next, if any. */
static Run
read_run(const char **pattern)
{
	Run			run = {0, false};

	for (; is_wildcard(**pattern); (*pattern)++)
	{
		if (**pattern == '%')
			run.more = true;
		else
			run.least++;
	}
	return run;
}

/* The text of a token that is no wildcard. */
static const char *
literal(const char *token)
{
	return token[0] == '\\' && token[1] != '\0' ? token + 1 : token;
}

/* Of one that is not the end. */
static const char *
next_token(const char *token)
{
	const char *text = literal(token);

	return text + pm_char_length(text);
}

/* Moves on by one in each, where any character that the narrow one stands for fits. */
static bool
token_fits(const char **wide, const char **narrow)
{
	const char *w = literal(*wide);
	const char *n = literal(*narrow);

	if (**wide == '\0' || **narrow == '\0' || **narrow == '%')
		return false;
	if (**wide != '_' &&
		(**narrow == '_' || pm_char_length(w) != pm_char_length(n) || memcmp(w, n, pm_char_length(w)) != 0))
		return false;
	*wide = next_token(*wide);
	*narrow = next_token(*narrow);
	return true;
}

/* What follows so many characters at least; NULL if there may be fewer. */
static const char *
pass_over(const char *narrow, int characters)
{
	while (characters > 0 && *narrow != '\0')
	{
		characters -= *narrow != '%';
		narrow = next_token(narrow);
	}
	return characters > 0 ? NULL : narrow;
}

/* As pm_like(): what comes after a "%" is tried as early as it can be. */
static bool
covers(const char *wide, const char *narrow)
{
	const char *retry_wide = NULL;
	const char *retry_narrow = NULL;

	for (;;)
	{
		const char *after = wide;
		Run			run = read_run(&after);

		if (run.more)
		{
			narrow = pass_over(narrow, run.least);
			if (narrow == NULL)
				return false;
			wide = retry_wide = after;
			retry_narrow = narrow;
			continue;
		}
		if (*wide == '\0' && *narrow == '\0')
			return true;
		if (token_fits(&wide, &narrow))
			continue;
		if (retry_wide == NULL || *retry_narrow == '\0')
			return false;
		retry_narrow = next_token(retry_narrow);
		wide = retry_wide;
		narrow = retry_narrow;
	}
}

static bool
is_well_formed(const char *pattern)
{
	for (; *pattern != '\0'; pattern += pm_char_length(pattern))
	{
		if (IS_HIGHBIT_SET(*pattern) && pm_char_length(pattern) == 1)
			return false;
	}
	return true;
}

/* Is every name that the narrow one matches matched by the wide one? */
bool
pm_pattern_covers(const PmPattern *wide, const PmPattern *narrow)
{
	if (!wide->limited || !narrow->limited)
		return !wide->limited;
	if (strcmp(wide->like, narrow->like) == 0)
		return true;
	return is_well_formed(wide->like) && is_well_formed(narrow->like) && covers(wide->like, narrow->like);
}

/*
 * The one name that the pattern matches, in PM_PATTERN_LEN bytes; false when it has a
 * wildcard, or matches any.
 */
bool
pm_pattern_literal(const PmPattern *pattern, char *name)
{
	const char *token = pattern->like;

	for (; *token != '\0'; token = next_token(token))
	{
		int			length = pm_char_length(literal(token));

		if (is_wildcard(*token))
			return false;
		memcpy(name, literal(token), length);
		name += length;
	}
	*name = '\0';
	return pattern->limited;
}

static bool
network_covers(const PmNetwork *wide, const PmNetwork *narrow)
{
	if (!wide->limited || !narrow->limited)
		return !wide->limited;
	return wide->bits <= narrow->bits && pm_network_has(wide, &narrow->addr);
}

/* Does it take every session that the narrow one does? */
bool
pm_pool_covers(const PmPool *wide, const PmPool *narrow)
{
	return network_covers(&wide->client_addr, &narrow->client_addr) &&
		pm_pattern_covers(&wide->usename, &narrow->usename) &&
		pm_pattern_covers(&wide->datname, &narrow->datname) &&
		pm_pattern_covers(&wide->application_name, &narrow->application_name);
}

/* Whatever logs in? */
bool
pm_pool_takes_all(const PmPool *pool)
{
	return !pool->application_name.limited && !pool->datname.limited &&
		!pool->usename.limited && !pool->client_addr.limited;
}

/* Is there a name that it does not match, but for its length? */
bool
pm_pattern_limits(const PmPattern *pattern)
{
	return pattern->limited &&
		(pattern->like[0] == '\0' || pattern->like[strspn(pattern->like, "%_")] != '\0');
}

/* Does it ask for something that not everybody has? */
bool
pm_pool_limits(const PmPool *pool)
{
	return pm_pattern_limits(&pool->application_name) || pm_pattern_limits(&pool->datname) ||
		pm_pattern_limits(&pool->usename) || (pool->client_addr.limited && pool->client_addr.bits > 0);
}

/* By what both begin with, and where one is a name. */
static bool
patterns_apart(const PmPattern *a, const PmPattern *b)
{
	char		name[PM_PATTERN_LEN];

	if (!a->limited || !b->limited)
		return false;
	if (memcmp(a->like, b->like, Min(a->prefix, b->prefix)) != 0)
		return true;
	return (pm_pattern_literal(a, name) && !pm_like(b->like, name)) ||
		(pm_pattern_literal(b, name) && !pm_like(a->like, name));
}

static bool
networks_apart(const PmNetwork *a, const PmNetwork *b)
{
	return !network_covers(a, b) && !network_covers(b, a);
}

/* Is there surely no session that both could take? Not always known: then false. */
bool
pm_pools_apart(const PmPool *a, const PmPool *b)
{
	return patterns_apart(&a->application_name, &b->application_name) ||
		patterns_apart(&a->datname, &b->datname) || patterns_apart(&a->usename, &b->usename) ||
		networks_apart(&a->client_addr, &b->client_addr);
}

static void
add_pattern(PmSpecificity *sum, const PmPattern *pattern)
{
	bool		exact = true;

	if (!pattern->limited)
		return;
	for (const char *token = pattern->like; *token != '\0';)
	{
		if (is_wildcard(*token))
		{
			Run			run = read_run(&token);

			exact = false;
			sum->percents += run.more;
			sum->underscores += run.least;
		}
		else
		{
			token = next_token(token);
			sum->literals++;
		}
	}
	sum->fields++;
	sum->exact += exact;
}

static void
add_network(PmSpecificity *sum, const PmNetwork *network)
{
	if (!network->limited)
		return;
	sum->fields++;
	sum->exact += network->bits == (network->addr.family == 4 ? 32 : 128);
	sum->bits += network->bits;
}

PmSpecificity
pm_specificity(const PmPool *pool)
{
	PmSpecificity sum = {0};

	add_pattern(&sum, &pool->application_name);
	add_pattern(&sum, &pool->datname);
	add_pattern(&sum, &pool->usename);
	add_network(&sum, &pool->client_addr);
	return sum;
}

/* Less than 0: a is more specific, and comes first. */
int
pm_specificity_compare(const PmSpecificity *a, const PmSpecificity *b)
{
	if (a->fields != b->fields)
		return b->fields - a->fields;
	if (a->exact != b->exact)
		return b->exact - a->exact;
	if (a->literals != b->literals)
		return b->literals - a->literals;
	if (a->bits != b->bits)
		return b->bits - a->bits;
	if (a->percents != b->percents)
		return a->percents - b->percents;
	return b->underscores - a->underscores;
}
