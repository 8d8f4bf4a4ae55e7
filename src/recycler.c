/*
 * recycler.c
 *		Who is to be retired, and the scheduled clean-up.
 *
 * What can be known from outside is decided here; whether the session is at
 * rest is decided by its own backend when it is asked (ask.c, session.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "clock.h"
#include "common/hashfn.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "recycler.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* The worker waits this long for the answers of one cycle. */
#define ANSWER_TIMEOUT	2000	/* ms */

static bool
is_protected(Oid userid)
{
	char	   *name = GetUserNameFromId(userid, true);
	char	   *copy = pstrdup(pm_protected_roles);
	List	   *names = NIL;
	bool		found = false;
	ListCell   *cell;

	if (name != NULL && SplitIdentifierString(copy, ',', &names))
	{
		foreach(cell, names)
			found |= strcmp(name, (char *) lfirst(cell)) == 0;
	}
	list_free(names);
	return found;
}

/* Looks up catalogs: needs a transaction. */
static PmReason
role_reason(PmClass *class)
{
	if (!class->role_known)
	{
		class->role_reason = superuser_arg(class->key.userid) ? PM_REASON_SUPERUSER :
			is_protected(class->key.userid) ? PM_REASON_PROTECTED : PM_REASON_NONE;
		class->role_known = true;
	}
	return class->role_reason;
}

/* Reasons that lie in the session, not in its role or the settings. */
static PmReason
session_reason(const PmTally *tally, const PmClass *class, const PmSession *session,
			   const PmFlags *flags)
{
	if (class->pool < 0)
		return PM_REASON_NO_POOL;
	if (tally->rules->pools[class->pool].pool_recycle < 0)
		return PM_REASON_NEVER;
	if (!flags->over_age)
		return PM_REASON_NOT_OVER_AGE;
	if (!flags->over_margin)
		return PM_REASON_MARGIN;
	if (session->pid == MyProcPid)
		return PM_REASON_CALLER;
	if (session->state == PM_STATE_UNKNOWN)
		return PM_REASON_STATE_UNKNOWN;
	if (session->state == PM_STATE_ACTIVE)
		return PM_REASON_BUSY;
	if (session->state != PM_STATE_IDLE)
		return PM_REASON_IN_TRANSACTION;
	if (!flags->stale)
		return PM_REASON_GRACE;
	return PM_REASON_NONE;
}

/*
 * Why the session is not to be asked to end itself, PM_REASON_NONE when it is.
 * A scheduled clean-up needs recycle_mode "terminate"; one by hand leaves only
 * pools alone whose mode is "off". The kill switch stops both. Needs a
 * transaction.
 */
PmReason
pm_keep_reason(const PmTally *tally, PmClass *class, const PmSession *session,
			   const PmFlags *flags, bool scheduled)
{
	PmReason	reason = session_reason(tally, class, session, flags);
	PmRecycleMode mode;

	if (reason != PM_REASON_NONE)
		return reason;
	reason = role_reason(class);
	if (reason != PM_REASON_NONE)
		return reason;
	mode = tally->rules->pools[class->pool].recycle_mode;
	if (mode == PM_RECYCLE_OFF)
		return PM_REASON_MODE_OFF;
	if (scheduled && mode == PM_RECYCLE_REPORT)
		return PM_REASON_MODE_REPORT;
	if (!pm_recycle_enabled)
		return PM_REASON_DISABLED;
	return PM_REASON_NONE;
}

/* ---- the scheduled clean-up, in the worker ---- */

/* One pool's part in the cycle; by its index when the cycle began. */
typedef struct CyclePool
{
	char		name[PM_NAME_LEN];	/* the declarations may change meanwhile */
	int			allowance;		/* how many may be retired */
	int			taken;			/* asked, and not declined */
} CyclePool;

/* The cycle under way, in cycle_context, which is empty between cycles. */
static MemoryContext cycle_context = NULL;
static PmAsk *asks = NULL;		/* all candidates, the oldest first */
static int	nasks = 0;
static CyclePool *cycle_pools = NULL;
static int	ncycle_pools = 0;
static int64 deadline = 0;		/* ms, pm_monotonic_ms() */

/*
 * How many sessions of the pool one cycle may retire: as many as the pool would
 * replace in that time if its ages were spread evenly, but at least one. (The
 * same rate as PgBouncer's server_lifetime.)
 */
static int
cycle_allowance(const PmPool *pool)
{
	double		size = Max(pool->ceiling >= 0 ? pool->ceiling : pool->base, 1);
	double		fair = (double) pm_recycle_interval * 1000 * size / pool->pool_recycle;

	return (int) Max(Min(fair, size), 1);
}

/* All stale sessions that may be retired. */
static void
find_candidates(PmTally *tally)
{
	PmScan		scan;
	PmSession	session;
	int			room = 64;

	asks = palloc(sizeof(PmAsk) * room);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(tally, &session);
		PmFlags		flags = pm_tally_flags(tally, class, &session);

		if (!flags.stale || pm_keep_reason(tally, class, &session, &flags, true) != PM_REASON_NONE)
			continue;
		if (nasks == room)
		{
			room *= 2;
			asks = repalloc_huge(asks, sizeof(PmAsk) * room);
		}
		pm_ask_init(&asks[nasks++], &session, class->pool, tally->rules);
	}
}

static void
prepare_pools(const PmRules *rules)
{
	ncycle_pools = rules->npools;
	cycle_pools = palloc0(sizeof(CyclePool) * (ncycle_pools + 1));
	for (int i = 0; i < ncycle_pools; i++)
	{
		strlcpy(cycle_pools[i].name, rules->pools[i].name, PM_NAME_LEN);
		cycle_pools[i].allowance = cycle_allowance(&rules->pools[i]);
	}
}

static void
choose_sessions(void)
{
	PmTally		tally;

	pm_tally_begin(&tally);
	find_candidates(&tally);
	qsort(asks, nasks, sizeof(PmAsk), pm_ask_compare_age);
	prepare_pools(tally.rules);
	pm_tally_end(&tally);
}

static bool
is_asked(const PmAsk *ask)
{
	return ask->ticket != 0 || ask->answered;
}

/*
 * Asks the oldest that were not asked yet, as far as their pools' allowances go.
 * A decline gives its place to the next one, so that a pinned session does not
 * stand in the way of its whole pool.
 */
static void
ask_more(void)
{
	for (int i = 0; i < nasks; i++)
	{
		CyclePool  *pool = &cycle_pools[asks[i].pool];

		if (is_asked(&asks[i]) || pool->taken >= pool->allowance)
			continue;
		pm_ask(&asks[i]);
		pool->taken++;
	}
}

static bool
any_pool_terminates(void)
{
	const PmRules *rules = pm_rules_current();

	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->pools[i].recycle_mode == PM_RECYCLE_TERMINATE)
			return true;
	}
	return false;
}

/*
 * Begins a cycle, unless one is under way. The transaction is for the look-ups
 * of roles: shared catalogs, which need no database.
 */
void
pm_recycler_start(void)
{
	MemoryContext caller = CurrentMemoryContext;

	if (nasks > 0 || !pm_recycle_enabled || !any_pool_terminates())
		return;
	if (cycle_context == NULL)
		cycle_context = AllocSetContextCreate(TopMemoryContext, "pool_monitor recycler",
											  ALLOCSET_DEFAULT_SIZES);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(cycle_context);
	choose_sessions();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);

	ask_more();
	deadline = pm_monotonic_ms() + ANSWER_TIMEOUT;
	if (nasks == 0)
		MemoryContextReset(cycle_context);
}

/* "2 temporary schema, 1 busy"; empty when none declined. */
static char *
describe_declines(int pool, int *retired)
{
	StringInfoData text;
	int			count[PM_NUM_REASONS] = {0};

	*retired = 0;
	for (int i = 0; i < nasks; i++)
	{
		if (asks[i].pool != pool || !is_asked(&asks[i]))
			continue;
		if (asks[i].retired)
			(*retired)++;
		else
			count[asks[i].reason]++;
	}
	initStringInfo(&text);
	for (int reason = 1; reason < PM_NUM_REASONS; reason++)
	{
		if (count[reason] > 0)
			appendStringInfo(&text, "%s%d %s", text.len > 0 ? ", " : "",
							 count[reason], pm_reason_text(reason));
	}
	return text.data;
}

/* Events for those of the pool that were asked. */
static void
record_pool(int pool, bool declines)
{
	const PmAsk **asked = palloc(nasks * sizeof(PmAsk *));
	int			nasked = 0;

	for (int i = 0; i < nasks; i++)
	{
		if (asks[i].pool == pool && is_asked(&asks[i]))
			asked[nasked++] = &asks[i];
	}
	pm_asks_record(asked, nasked, declines, "schedule");
	pfree(asked);
}

/*
 * One line for a pool with something new to say. Declines alone are repeated
 * only when their number or reasons change: a pinned session stays pinned for
 * hours.
 */
static void
log_pool(int pool)
{
	static uint32 *last = NULL; /* hash of each pool's name and last declines */
	int			retired;
	char	   *declines = describe_declines(pool, &retired);
	uint32		hash = hash_combine(hash_bytes((unsigned char *) declines, strlen(declines)),
									hash_bytes((unsigned char *) cycle_pools[pool].name, strlen(cycle_pools[pool].name)));
	bool		new_declines;

	if (last == NULL)
		last = MemoryContextAllocZero(TopMemoryContext, sizeof(uint32) * pm_max_pools);
	new_declines = declines[0] != '\0' && last[pool] != hash;
	last[pool] = hash;
	if (retired == 0 && !new_declines)
		return;
	record_pool(pool, new_declines);
	if (declines[0] == '\0')
		ereport(LOG,
				(errmsg("pool \"%s\": stale sessions retired: %d", cycle_pools[pool].name, retired)));
	else
		ereport(LOG,
				(errmsg("pool \"%s\": stale sessions retired: %d, declined: %s",
						cycle_pools[pool].name, retired, declines)));
}

/* Counts the answers that have come; false when some are still to come. */
static bool
look_for_answers(bool late)
{
	bool		settled = true;

	for (int i = 0; i < nasks; i++)
	{
		CyclePool  *pool = &cycle_pools[asks[i].pool];

		if (!is_asked(&asks[i]) || asks[i].counted)
			continue;
		if (late)
			pm_ask_withdraw(&asks[i]);
		if (!pm_ask_settled(&asks[i]) && !late)
		{
			settled = false;
			continue;
		}
		asks[i].counted = true;
		if (pm_ask_was_declined(&asks[i]))
			pm_account_add(asks[i].account, PM_DECLINED, 1);
		if (!asks[i].retired)
			pool->taken--;
	}
	return settled;
}

static bool
any_to_ask(void)
{
	for (int i = 0; i < nasks; i++)
	{
		if (!is_asked(&asks[i]) &&
			cycle_pools[asks[i].pool].taken < cycle_pools[asks[i].pool].allowance)
			return true;
	}
	return false;
}

/*
 * Looks for answers and asks further sessions in place of those that declined;
 * at the deadline takes back what has no answer. True while a cycle is under
 * way: call again soon.
 */
bool
pm_recycler_collect(void)
{
	bool		late = pm_monotonic_ms() >= deadline;
	bool		settled;

	if (nasks == 0)
		return false;
	settled = look_for_answers(late);
	if (!late && (!settled || any_to_ask()))
	{
		ask_more();
		return true;
	}

	for (int pool = 0; pool < ncycle_pools; pool++)
		log_pool(pool);
	nasks = 0;
	MemoryContextReset(cycle_context);
	return false;
}
