/*
 * cleanup.c
 *		The scheduled clean-up, in the worker.
 *
 * Every recycle_interval a cycle begins: it lists the sessions that may be
 * retired, the oldest first. Until the next one begins they are asked, one pool's
 * sessions one at a time, each no sooner than the pool's gap after the last one
 * that was retired (schedule.c), inside its recycle_window, not while the pool is
 * paused (pauses.c), and no more than recycle_limit in all. A session that
 * declines gives its place to the next one, and is not asked again in this cycle.
 * When the declarations change, or the kill switch is thrown, nobody is asked any
 * more.
 *
 * When a pool's next session may be retired is in shared memory, so that a worker
 * that begins anew does not hurry.
 */
#include "postgres.h"

#include "access/xact.h"
#include "cleanup.h"
#include "clock.h"
#include "common/hashfn.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "pauses.h"
#include "recycler.h"
#include "schedule.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ANSWER_TIMEOUT	2000	/* ms; for one answer */
#define ANSWER_INTERVAL	10		/* ms; between two looks at answers */
#define LOOK_AGAIN		1000	/* ms; windows open, pauses end */

/* One pool's part in the cycle. */
typedef struct CyclePool
{
	PmPool		pool;			/* as it was declared when the cycle began */
	int			next;			/* of asks: those before it were asked */
	PmAsk	   *outstanding;	/* that has no answer yet; NULL: none */
	int64		former_due;		/* ms; if this one declines */
	int			retired;
} CyclePool;

/* The cycle under way, in its context, which is empty between cycles. */
typedef struct Cycle
{
	MemoryContext context;
	uint64		generation;		/* of the declarations */
	PmAsk	   *asks;			/* all candidates, the oldest first */
	int			nasks;			/* 0: no cycle is under way */
	CyclePool  *pools;
	int			npools;
	int			retired;
	bool		asking;			/* somebody is being asked, or could be now */
} Cycle;

static Cycle cycle = {0};

/* ---- the beginning ---- */

static void
find_candidates(PmTally *tally)
{
	PmScan		scan;
	PmSession	session;
	int			room = 64;

	cycle.asks = palloc(sizeof(PmAsk) * room);
	pm_scan_begin(&scan);
	while (pm_scan_next(&scan, &session))
	{
		PmClass    *class = pm_tally_class(tally, &session);
		PmFlags		flags = pm_tally_flags(tally, class, &session);

		if (pm_keep_reason(tally, class, &session, &flags, true) != PM_REASON_NONE)
			continue;
		if (cycle.nasks == room)
		{
			room *= 2;
			cycle.asks = repalloc_huge(cycle.asks, sizeof(PmAsk) * room);
		}
		pm_ask_init(&cycle.asks[cycle.nasks++], &session, class->pool, tally->rules, &flags);
	}
}

static void
choose_sessions(void)
{
	PmTally		tally;

	pm_tally_begin(&tally);
	cycle.generation = tally.rules->generation;
	cycle.npools = tally.rules->npools;
	cycle.pools = palloc0(sizeof(CyclePool) * (cycle.npools + 1));
	for (int i = 0; i < cycle.npools; i++)
		cycle.pools[i].pool = tally.rules->pools[i];
	find_candidates(&tally);
	qsort(cycle.asks, cycle.nasks, sizeof(PmAsk), pm_ask_compare_age);
	pm_tally_end(&tally);
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

/* ---- answers ---- */

/* What the session said is on record, and the next one's time is known. */
static void
note_answer(CyclePool *pool, const PmRules *rules)
{
	const PmAsk *ask = pool->outstanding;

	pool->outstanding = NULL;
	if (ask->retired)
	{
		cycle.retired++;
		pool->retired++;
		pm_pauses_note_retired(ask->account);
		if (pool->retired <= PM_SINGLE_EVENTS)
			pm_asks_record(&ask, 1, false, "schedule");
		pm_ask_log(ask, LOG);
		return;
	}
	/* the place in the rules is this pool's only as long as they are the same */
	if (rules->generation == cycle.generation)
		pm_set_next_retirement(rules, ask->pool, pool->former_due);
	if (pm_ask_was_declined(ask))
		pm_ask_count_decline(ask);
}

/* True when some answer is still to come. */
static bool
look_for_answers(const PmRules *rules, bool late)
{
	bool		waiting = false;

	for (int i = 0; i < cycle.npools; i++)
	{
		CyclePool  *pool = &cycle.pools[i];

		if (pool->outstanding == NULL)
			continue;
		if (late || pm_monotonic_ms() - pool->outstanding->asked_at > ANSWER_TIMEOUT)
			pm_ask_withdraw(pool->outstanding);
		else if (!pm_ask_settled(pool->outstanding))
		{
			waiting = true;
			continue;
		}
		note_answer(pool, rules);
	}
	return waiting;
}

/* ---- questions ---- */

/* Shrinking stops at base, whoever else has left meanwhile. */
static bool
at_base(const PmAsk *ask, const PmPool *pool)
{
	return ask->rule == PM_RULE_IDLE &&
		pg_atomic_read_u32(&pm_shared->accounts[ask->account].connections) <= (uint32) pool->base;
}

/*
 * Is it still what was listed? It may have waited for its turn for long, and a
 * session at work need not be disturbed to be told so. Brings its figures up to
 * date.
 */
static bool
still_candidate(PmAsk *ask, const PmPool *pool)
{
	PmSession	now = ask->session;

	if (!pm_scan_again(&now) || now.name_hash != ask->session.name_hash ||
		pm_idle_for(&now, GetCurrentTimestamp()) < ask->min_idle)
		return false;
	ask->session = now;
	return !at_base(ask, pool);
}

/* The pool's next candidate, NULL when there is none. */
static PmAsk *
next_candidate(int p)
{
	CyclePool  *pool = &cycle.pools[p];

	for (; pool->next < cycle.nasks; pool->next++)
	{
		PmAsk	   *ask = &cycle.asks[pool->next];

		if (ask->pool == p && still_candidate(ask, &pool->pool))
			return ask;
	}
	return NULL;
}

static int64
gap_in_ms(const PmPool *pool, PmRetireRule rule)
{
	int64		lifetime = rule == PM_RULE_IDLE ? pool->idle_limit : pool->pool_recycle;

	return (pm_pool_gap(pool, lifetime) + 999) / 1000;
}

/*
 * Asks the pool's next session if it is time. Returns in how many ms to look
 * again; -1: there is nobody to be asked.
 */
static int64
ask_next(int p, const PmRules *rules)
{
	CyclePool  *pool = &cycle.pools[p];
	PmAsk	   *ask = next_candidate(p);
	int64		now = pm_monotonic_ms();
	int64		due;

	if (ask == NULL)
		return -1;
	due = pm_next_retirement(rules, p);
	if (now < due)
		return due - now;
	if (!pm_window_open(&pool->pool.recycle_window, GetCurrentTimestamp()) || pm_paused(rules, p))
		return LOOK_AGAIN;

	pool->next++;
	pool->outstanding = ask;
	pool->former_due = due;
	pm_set_next_retirement(rules, p, now + gap_in_ms(&pool->pool, ask->rule));
	pm_ask(ask);
	return ANSWER_INTERVAL;
}

static int
count_outstanding(void)
{
	int			n = 0;

	for (int i = 0; i < cycle.npools; i++)
		n += cycle.pools[i].outstanding != NULL;
	return n;
}

/* As ask_next(), of all pools. */
static int64
ask_more(const PmRules *rules)
{
	int64		soonest = -1;

	for (int i = 0; i < cycle.npools; i++)
	{
		int64		wait = ANSWER_INTERVAL;

		if (cycle.pools[i].outstanding == NULL)
		{
			if (cycle.retired + count_outstanding() >= pm_recycle_limit)
				continue;
			wait = ask_next(i, rules);
		}
		if (wait >= 0 && (soonest < 0 || wait < soonest))
			soonest = wait;
	}
	return soonest;
}

/* ---- the end ---- */

/* "2 temporary schema, 1 busy"; empty when none declined. */
static char *
describe_declines(int pool)
{
	StringInfoData text;
	int			count[PM_NUM_REASONS] = {0};

	for (int i = 0; i < cycle.nasks; i++)
	{
		if (cycle.asks[i].pool == pool && pm_ask_was_put(&cycle.asks[i]) && !cycle.asks[i].retired)
			count[cycle.asks[i].reason]++;
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

/* Events for those of the pool that declined. */
static void
record_declines(int pool)
{
	const PmAsk **declined = palloc(cycle.nasks * sizeof(PmAsk *));
	int			n = 0;

	for (int i = 0; i < cycle.nasks; i++)
	{
		if (cycle.asks[i].pool == pool && pm_ask_was_declined(&cycle.asks[i]))
			declined[n++] = &cycle.asks[i];
	}
	pm_asks_record(declined, n, true, "schedule");
	pfree(declined);
}

/*
 * One line for a pool with something new to say. Declines alone are repeated
 * only when their number or reasons change: a pinned session stays pinned for
 * hours.
 */
static void
sum_up(int pool)
{
	static uint32 *last = NULL; /* hash of each pool's name and last declines */
	const char *name = cycle.pools[pool].pool.name;
	int			retired = cycle.pools[pool].retired;
	char	   *declines = describe_declines(pool);
	uint32		hash = hash_combine(hash_bytes((unsigned char *) declines, strlen(declines)),
									hash_bytes((unsigned char *) name, strlen(name)));
	bool		new_declines;

	if (last == NULL)
		last = MemoryContextAllocZero(TopMemoryContext, sizeof(uint32) * pm_max_pools);
	new_declines = declines[0] != '\0' && last[pool] != hash;
	last[pool] = hash;
	if (retired > PM_SINGLE_EVENTS)
		pm_event(PM_EVENT_RETIRED, name, false, 0, "{\"further_sessions\": %d, \"by\": \"schedule\"}",
				 retired - PM_SINGLE_EVENTS);
	if (new_declines)
		record_declines(pool);
	if (declines[0] == '\0' && retired > 0)
		ereport(LOG,
				(errmsg("pool \"%s\": stale sessions retired: %d", name, retired)));
	else if (retired > 0 || new_declines)
		ereport(LOG,
				(errmsg("pool \"%s\": stale sessions retired: %d, declined: %s",
						name, retired, declines)));
}

static void
end_cycle(void)
{
	MemoryContext caller = MemoryContextSwitchTo(cycle.context);

	for (int pool = 0; pool < cycle.npools; pool++)
		sum_up(pool);
	MemoryContextSwitchTo(caller);
	cycle.nasks = 0;
	MemoryContextReset(cycle.context);
}

/*
 * Begins a cycle; ends the one that is under way. The transaction is for the
 * look-ups of roles: shared catalogs, which need no database.
 */
void
pm_cleanup_begin(void)
{
	MemoryContext caller = CurrentMemoryContext;

	if (cycle.nasks > 0)
	{
		(void) look_for_answers(pm_rules_current(), true);
		end_cycle();
	}
	if (!pm_recycle_enabled || !any_pool_terminates())
		return;
	if (cycle.context == NULL)
		cycle.context = AllocSetContextCreate(TopMemoryContext, "pool_monitor clean-up",
											  ALLOCSET_DEFAULT_SIZES);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(cycle.context);
	cycle.retired = 0;
	choose_sessions();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	if (cycle.nasks == 0)
		MemoryContextReset(cycle.context);
}

/*
 * Looks for answers and asks who is next. Returns in how many ms it wants to be
 * called again; -1 when no cycle is under way.
 */
int64
pm_cleanup_tick(void)
{
	const PmRules *rules = pm_rules_current();
	int64		wait = -1;
	bool		waiting;

	cycle.asking = false;
	if (cycle.nasks == 0)
		return -1;
	waiting = look_for_answers(rules, false);
	if (pm_recycle_enabled && rules->generation == cycle.generation)
		wait = ask_more(rules);
	if (waiting)
		wait = ANSWER_INTERVAL;
	if (wait < 0)
		end_cycle();
	cycle.asking = wait == ANSWER_INTERVAL;
	return wait;
}

/*
 * Is the cycle under way still at its questions, rather than waiting for times to
 * come? Then the next one has to wait, or many sessions that decline would keep
 * those behind them from ever being asked.
 */
bool
pm_cleanup_is_asking(void)
{
	return cycle.asking;
}
