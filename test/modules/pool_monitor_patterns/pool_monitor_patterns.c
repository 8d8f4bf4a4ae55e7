/*
 * pool_monitor_patterns.c
 *		Tries what the library says of patterns with all patterns there are, up to a
 *		length.
 *
 * The code that is tried is pure, and compiled into this one: so millions of pairs are tried
 * without declaring them.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "pools/patterns.c"
#include "pools/rules.c"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inet.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(patterns_disagree);
PG_FUNCTION_INFO_V1(order_disagrees);

/* All words of so many letters at most. */
typedef struct Words
{
	int			n;
	char	  **word;
} Words;

static void
get_array(FunctionCallInfo fcinfo, int arg, Oid type, int16 length, Datum **values, int *n)
{
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), type, length, false, TYPALIGN_INT, values, NULL, n);
}

static Words
all_words(FunctionCallInfo fcinfo, int arg)
{
	int			length = PG_GETARG_INT32(arg + 1);
	Words		words = {0};
	Datum	   *letters;
	int			nletters;
	int			total = 1;
	int			from = 0;

	get_array(fcinfo, arg, TEXTOID, -1, &letters, &nletters);
	for (int i = 0, n = 1; i < length; i++)
		total += n *= nletters;
	words.word = palloc(total * sizeof(char *));
	words.word[words.n++] = "";
	for (int i = 0; i < length; i++)
	{
		int			until = words.n;

		for (; from < until; from++)
		{
			for (int j = 0; j < nletters; j++)
				words.word[words.n++] = psprintf("%s%s", words.word[from], TextDatumGetCString(letters[j]));
		}
	}
	return words;
}

/* Of each word: does the pattern match it? */
static bool *
matched(const char *pattern, const Words *strings)
{
	bool	   *is_matched = palloc(strings->n);

	for (int i = 0; i < strings->n; i++)
		is_matched[i] = pm_like(pattern, strings->word[i]);
	return is_matched;
}

/* The first string that the narrow one matches, and the wide one does not; -1: none. */
static int
first_outside(const bool *wide, const bool *narrow, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (narrow[i] && !wide[i])
			return i;
	}
	return -1;
}

/*
 * patterns_disagree(tokens text[], length int, letters text[], string_length int, may_say_no
 * bool): two patterns of these tokens of which pm_pattern_covers() says one thing, and the
 * strings of these letters another; NULL: none. may_say_no: it need not find all that it could.
 */
Datum
patterns_disagree(PG_FUNCTION_ARGS)
{
	Words		patterns = all_words(fcinfo, 0);
	Words		strings = all_words(fcinfo, 2);
	PmPattern  *pattern = palloc0(patterns.n * sizeof(PmPattern));
	bool	  **is_matched = palloc(patterns.n * sizeof(bool *));

	for (int i = 0; i < patterns.n; i++)
	{
		pm_pattern_set(&pattern[i], patterns.word[i]);
		is_matched[i] = matched(patterns.word[i], &strings);
	}
	for (int i = 0; i < patterns.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < patterns.n; j++)
		{
			bool		says = pm_pattern_covers(&pattern[i], &pattern[j]);
			int			outside = first_outside(is_matched[i], is_matched[j], strings.n);

			if (says ? outside >= 0 : outside < 0 && !PG_GETARG_BOOL(4))
				PG_RETURN_TEXT_P(cstring_to_text(psprintf("\"%s\" covers \"%s\": %s, but %s", patterns.word[i],
														  patterns.word[j], says ? "yes" : "no",
														  outside < 0 ? "no string says so" : strings.word[outside])));
		}
	}
	PG_RETURN_NULL();
}

static void
set_pattern(PmPattern *pattern, const char *like)
{
	if (like[0] == '\0' || like[strspn(like, "%")] != '\0')
		pm_pattern_set(pattern, like);
}

static void
set_network(PmNetwork *network, Datum value)
{
	inet	   *from = DatumGetInetPP(value);

	network->limited = true;
	network->addr.family = ip_family(from) == PGSQL_AF_INET ? 4 : 6;
	memcpy(network->addr.bytes, ip_addr(from), network->addr.family == 4 ? 4 : 16);
	network->bits = ip_bits(from);
}

static const char *
order_of(const PmPool *a, const PmPool *b)
{
	PmSpecificity as = pm_specificity(a);
	PmSpecificity bs = pm_specificity(b);
	int			order = pm_specificity_compare(&as, &bs);

	if (order != -pm_specificity_compare(&bs, &as))
		return "first and last";
	return order < 0 ? "first" : order > 0 ? "last" : "equal";
}

/*
 * order_disagrees(tokens text[], length int, tokens text[], length int, networks cidr[]):
 * two declarations by application and database, or network, of which one takes a part of
 * the other's sessions and does not come first, or the same and is not its equal.
 */
Datum
order_disagrees(PG_FUNCTION_ARGS)
{
	Words		applications = all_words(fcinfo, 0);
	Words		databases = all_words(fcinfo, 2);
	Datum	   *networks;
	int			nnetworks;
	int			npools;
	PmPool	   *pools;
	int			pairs = 0;

	get_array(fcinfo, 4, CIDROID, -1, &networks, &nnetworks);
	npools = applications.n * databases.n * (nnetworks + 1);
	pools = palloc0(npools * sizeof(PmPool));
	for (int i = 0; i < npools; i++)
	{
		int			network = i / applications.n / databases.n;

		set_pattern(&pools[i].application_name, applications.word[i % applications.n]);
		set_pattern(&pools[i].datname, databases.word[i / applications.n % databases.n]);
		if (network < nnetworks)
			set_network(&pools[i].client_addr, networks[network]);
	}
	for (int i = 0; i < npools; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < npools; j++)
		{
			const char *is = order_of(&pools[i], &pools[j]);
			bool		back;

			if (!pm_pool_covers(&pools[j], &pools[i]))
				continue;
			pairs++;
			back = pm_pool_covers(&pools[i], &pools[j]);
			if (strcmp(is, back ? "equal" : "first") != 0)
				PG_RETURN_TEXT_P(cstring_to_text(psprintf("\"%s\", \"%s\", /%d is %s to \"%s\", \"%s\", /%d",
														  pools[i].application_name.like, pools[i].datname.like, pools[i].client_addr.bits, is,
														  pools[j].application_name.like, pools[j].datname.like, pools[j].client_addr.bits)));
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d pairs of %d", pairs, npools)));
}
