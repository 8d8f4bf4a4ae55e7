/*
 * figures.c
 *		The accounts as a whole: reading one, beginning it anew, opening, closing
 *		and freeing places, and adding what an earlier run of the server counted.
 *
 * All of this is for processes with a PGPROC; what changes an account's marks is
 * under lock. Counting goes on meanwhile, see account.c.
 *
 * Room for applications. Whoever may log in, or only reach the server, can make up
 * names; without more they would fill the places for good. So when somebody found
 * no place, the worker gives up those of applications without sessions, and for
 * CROWDED_TIME after that it keeps an eighth of the places free. What they had
 * counted goes to "(other)". They go in this order:
 *
 *	- those that never had a session: only failed logins;
 *	- those that had;
 *	- those that exchanged sessions with a declared pool, because a declaration is
 *	  being changed (or a session changes its name): but of these only a quarter of
 *	  the places is kept so, or else a session that changes its name again and again
 *	  between a pool's and made-up ones would fill them.
 *
 * Among these what was used last goes last. What has a session stays, and an
 * application that comes when all have is in "(other)" until one of them ends.
 * Failed logins under new names get places that others of their kind had: they
 * push nobody else out.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "utils/timestamp.h"

#define READ_TRIES		1000

/* ms; who claims a place and is not ready by then is waited for no longer */
#define CLAIM_TIME		2000

/* places that one tick frees, because it holds the lock meanwhile */
#define FREED_AT_ONCE	64

/* ms since an application found no place */
#define CROWDED_TIME	(INT64CONST(60) * 60 * 1000)

/* kept free then */
#define RESERVE			Max(pm_max_applications / 8, 1)

#define ACCOUNT(i)	(&pm_shared->accounts[i])
#define KEY(i)		(&pm_shared->account_keys[i])

/* ---- reading ---- */

/*
 * How long connections have been open, in us, all together since the account
 * was opened; of two such readings the difference counts. False when sessions
 * came and went all the time while it was read.
 */
bool
pm_account_open_time(int account, int64 now, int64 *open_time, int *connections)
{
	PmAccount  *a = ACCOUNT(account);

	for (int tries = 0; tries < READ_TRIES; tries++)
	{
		uint64		done = pg_atomic_read_u64(&a->moves_done);

		pg_read_barrier();
		*connections = pg_atomic_read_u32(&a->connections);
		*open_time = (int64) pg_atomic_read_u64(&a->open_time) + *connections * now;
		pg_read_barrier();
		if (pg_atomic_read_u64(&a->moves_begun) == done)
			return true;
	}
	return false;
}

/* Most connections since the last call; at least those of now. */
void
pm_account_take_tick_peak(int account, int *peak)
{
	PmAccount  *a = ACCOUNT(account);

	*peak = pg_atomic_exchange_u32(&a->tick_peak, 0);
	pm_account_raise_tick_peak(a, pg_atomic_read_u32(&a->connections));
	*peak = Max(*peak, (int) pg_atomic_read_u32(&a->connections));
}

/* A counter that the history keeps, since the server started and before. */
uint64
pm_account_kept(int account, PmKept which)
{
	pg_atomic_uint64 *counters = ACCOUNT(account)->counters;
	uint64		ends = 0;

	switch (which)
	{
		case PM_KEPT_CONNECTS:
			return pg_atomic_read_u64(&counters[PM_CONNECTS]);
		case PM_KEPT_REFUSED:
			return pg_atomic_read_u64(&counters[PM_REFUSED]);
		case PM_KEPT_RETIRED:
			return pg_atomic_read_u64(&counters[PM_RETIRED]);
		case PM_KEPT_TRANSACTIONS:
			return pg_atomic_read_u64(&counters[PM_TRANSACTIONS]);
		default:
			for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
				ends += pg_atomic_read_u64(&counters[i]);
			return ends;
	}
}

/* As an event of its own: not what was added from elsewhere. For the worker. */
uint64
pm_account_counted(int account, PmCounter which)
{
	return pg_atomic_read_u64(&ACCOUNT(account)->counters[which]) - ACCOUNT(account)->merged[which];
}

/* Caller holds lock, if there is anybody else: then no account is given up. */
static void
read_figures(int account, PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		peak;

	strlcpy(figures->name, a->name, PM_NAME_LEN);
	for (int i = 0; i < PM_NUM_KEPT; i++)
		figures->not_in_history[i] = pm_account_kept(account, i) - a->in_history[i];

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		figures->counters[i] = pg_atomic_read_u64(&a->counters[i]) - a->base[i];
	for (int i = 0; i < PM_MOST_REASONS; i++)
		figures->declines[i] = pg_atomic_read_u64(&a->declines[i]) - a->base_declines[i];
	figures->busy = (int64) pg_atomic_read_u64(&a->busy) - a->base_busy;
	figures->observed = a->observed_before + pm_monotonic_us() - a->observed_since;
	figures->stats_reset = a->stats_reset;
	figures->connections = pg_atomic_read_u32(&a->connections);
	peak = pg_atomic_read_u64(&a->peak);
	figures->peak = PM_PEAK_COUNT(peak);
	figures->peak_at = pm_peak_at(peak);
	figures->lifetime_max = pg_atomic_read_u64(&a->lifetime_max);
	figures->hold_max = pg_atomic_read_u64(&a->hold_max);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		figures->lifetimes[i] = pg_atomic_read_u64(&a->lifetimes[i]);
		figures->holds[i] = pg_atomic_read_u64(&a->holds[i]);
	}
}

/* False when the account is free. Without lock only in the last process. */
bool
pm_account_figures(int account, PmFigures *figures, bool lock)
{
	bool		ready = pm_account_ready(account);

	if (!ready)
		return false;
	if (lock)
		LWLockAcquire(pm_shared->lock, LW_SHARED);
	ready = pm_account_ready(account);
	pg_read_barrier();
	if (ready)
		read_figures(account, figures);
	if (lock)
		LWLockRelease(pm_shared->lock);
	return ready;
}

/* ---- opening, resetting, closing ---- */

/*
 * The account of the pool with this name, opened if there is none yet; (other)
 * when there is no free place, which needs all declarations to be changed twice
 * between two ticks, or max_pools to have been lowered: then the worker gives it
 * one later.
 */
int
pm_account_for_pool(const char *name)
{
	uint32		hash = pm_account_hash(name);
	int			place = -1;

	for (int i = 0; i < pm_first_application(); i++)
	{
		PmPlaceState state = PM_PLACE_STATE(pg_atomic_read_u64(&KEY(i)->place));

		if (state == PM_PLACE_READY && KEY(i)->hash == hash && strcmp(ACCOUNT(i)->name, name) == 0)
			return i;
		if (state == PM_PLACE_FREE && place < 0)
			place = i;
	}
	if (place < 0 || pm_account_open(place, name).account < 0)
		return pm_other_account();
	return place;
}

static uint64
raw(PmAccount *account, PmCounter counter)
{
	return pg_atomic_read_u64(&account->counters[counter]);
}

/*
 * Begins the account anew. Its counters go on; what they were is subtracted
 * from now on. Sessions that are there count as taken over, so that connects
 * less disconnects is still what is there. open_busy is how long its open
 * transactions have been open, in us: their time before this does not count.
 */
void
pm_account_reset(int account, int64 open_busy, int64 now)
{
	PmAccount  *a = ACCOUNT(account);
	uint64		there;

	/* the ends first: a session in between is there rather than not yet */
	for (int i = PM_NUM_COUNTERS - 1; i >= 0; i--)
		a->base[i] = raw(a, i);
	for (int i = 0; i < PM_MOST_REASONS; i++)
		a->base_declines[i] = pg_atomic_read_u64(&a->declines[i]);
	there = a->base[PM_CONNECTS] + a->base[PM_TAKEN_OVER] - a->base[PM_GIVEN_OVER];
	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		there -= a->base[i];
	a->base[PM_TAKEN_OVER] -= there;
	a->base_busy = (int64) pg_atomic_read_u64(&a->busy) + open_busy;
	a->observed_before = 0;
	a->observed_since = now;
	a->stats_reset = GetCurrentTimestamp();

	pg_atomic_fetch_add_u32(&pm_shared->resets, 1);
	pg_atomic_write_u64(&a->lifetime_max, 0);
	pg_atomic_write_u64(&a->hold_max, 0);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		pg_atomic_write_u64(&a->lifetimes[i], 0);
		pg_atomic_write_u64(&a->holds[i], 0);
	}
	pg_atomic_write_u64(&a->peak, 0);
	pm_account_raise_peak(a, pg_atomic_read_u32(&a->connections), a->stats_reset);
}

/* Begins to close an account; false when somebody holds it. */
bool
pm_account_close(int account)
{
	return pm_place_move(&KEY(account)->place, pm_account_incarnation(account),
						 PM_PLACE_READY, PM_PLACE_CLOSING);
}

static void
kept_of(const PmFigures *figures, uint64 *kept)
{
	kept[PM_KEPT_CONNECTS] = figures->counters[PM_CONNECTS];
	kept[PM_KEPT_REFUSED] = figures->counters[PM_REFUSED];
	kept[PM_KEPT_RETIRED] = figures->counters[PM_RETIRED];
	kept[PM_KEPT_TRANSACTIONS] = figures->counters[PM_TRANSACTIONS];
	kept[PM_KEPT_ENDS] = 0;
	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		kept[PM_KEPT_ENDS] += figures->counters[i];
}

/*
 * Adds what another account had counted. Its peak is one of this account too:
 * so many of those that are counted together were there at once.
 */
static void
add_figures(PmAccount *a, const PmFigures *figures)
{
	uint64		before[PM_NUM_KEPT];

	kept_of(figures, before);
	for (int i = 0; i < PM_NUM_KEPT; i++)
		a->in_history[i] += before[i] - figures->not_in_history[i];
	for (int i = 0; i < PM_NUM_COUNTERS; i++)
	{
		a->merged[i] += figures->counters[i];
		pg_atomic_fetch_add_u64(&a->counters[i], figures->counters[i]);
	}
	for (int i = 0; i < PM_MOST_REASONS; i++)
		pg_atomic_fetch_add_u64(&a->declines[i], figures->declines[i]);
	pg_atomic_fetch_add_u64(&a->busy, figures->busy);
	for (int i = 0; i < PM_BUCKETS; i++)
	{
		if (figures->lifetimes[i] != 0)
			pg_atomic_fetch_add_u64(&a->lifetimes[i], figures->lifetimes[i]);
		if (figures->holds[i] != 0)
			pg_atomic_fetch_add_u64(&a->holds[i], figures->holds[i]);
	}
	pm_account_raise(&a->lifetime_max, figures->lifetime_max);
	pm_account_raise(&a->hold_max, figures->hold_max);
	pm_account_raise_peak(a, figures->peak, figures->peak_at);
	a->stats_reset = Min(a->stats_reset, figures->stats_reset);
}

/*
 * Adds what an earlier run of the server has counted. Sessions that were there
 * when it was written are gone: how they ended is not known. Returns how many.
 */
int
pm_account_merge(int account, const PmFigures *figures)
{
	PmAccount  *a = ACCOUNT(account);
	int64		lost = figures->counters[PM_CONNECTS] + figures->counters[PM_TAKEN_OVER] -
	figures->counters[PM_GIVEN_OVER];

	for (int i = PM_ENDED_CLIENT; i <= PM_ENDED_LOST; i++)
		lost -= figures->counters[i];
	add_figures(a, figures);
	a->merged[PM_ENDED_LOST] += lost;
	pg_atomic_fetch_add_u64(&a->counters[PM_ENDED_LOST], lost);
	a->observed_before += figures->observed;
	return (int) lost;
}

/*
 * An application's sums go to (other), since its stats_reset; the sums above have
 * them. (other) was watched for as long as the one of them that was watched for
 * longest.
 */
static void
give_to_other(int account)
{
	static PmFigures figures;	/* too large for a stack */
	PmAccount  *other = ACCOUNT(pm_other_account());
	int64		observed = other->observed_before + pm_monotonic_us() - other->observed_since;

	read_figures(account, &figures);
	add_figures(other, &figures);
	other->observed_before += Max(figures.observed - observed, 0);
	pg_atomic_fetch_add_u32(&pm_shared->given_up, 1);
}

/*
 * Frees the place, whose word is to be in this state and held by nobody. Caller
 * holds lock exclusively, so that readers see its sums here or in (other).
 */
static bool
free_place(int account, uint32 incarnation, PmPlaceState state)
{
	pg_atomic_uint64 *place = &KEY(account)->place;

	if (!pm_place_move(place, incarnation, state, PM_PLACE_LEAVING))
		return false;
	if (pm_account_is_application(account))
		give_to_other(account);
	pm_account_init(ACCOUNT(account));
	pg_write_barrier();
	(void) pm_place_move(place, incarnation, PM_PLACE_LEAVING, PM_PLACE_FREE);
	return true;
}

/*
 * Frees what has been closed. A place that somebody has claimed for too long (he
 * is stopped) stays his, but nobody waits for it any more.
 */
static void
free_closed(int64 now_ms)
{
	int			freed = 0;

	for (int i = 0; i < pm_other_account() && freed < FREED_AT_ONCE; i++)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);
		uint32		incarnation = PM_PLACE_INCARNATION(word);
		int64	   *since = &ACCOUNT(i)->claimed_at;

		if (PM_PLACE_STATE(word) == PM_PLACE_CLOSING &&
			free_place(i, incarnation, PM_PLACE_CLOSING))
			freed++;
		if (PM_PLACE_STATE(word) != PM_PLACE_CLAIMED)
			continue;
		if (*since == 0)
			*since = now_ms;
		else if (now_ms - *since >= CLAIM_TIME)
			(void) pm_place_move(&KEY(i)->place, incarnation, PM_PLACE_CLAIMED, PM_PLACE_LOST);
	}
}

static bool
in_force(int account)
{
	const PmRuleSet *set = pm_rules_in_force();

	for (int i = 0; i < set->npools; i++)
	{
		if (set->accounts[i] == account)
			return true;
	}
	return false;
}

/*
 * Keeps max_pools places free for pools that are declared next: of the accounts
 * of pools that are declared no more, those that were dropped first are closed.
 */
static void
close_dropped(int64 now_ms)
{
	static uint64 generation = 0;	/* all is well with these declarations */
	int			nfree = 0;
	int			oldest = -1;

	/* before the first load nobody knows who is dropped */
	if (generation == pg_atomic_read_u64(&pm_shared->generation) ||
		!OidIsValid(pm_shared->load_database))
		return;

	for (int i = 0; i < pm_first_application(); i++)
	{
		PmAccount  *account = ACCOUNT(i);

		if (!pm_account_ready(i))
		{
			nfree++;			/* or will be */
			continue;
		}
		if (in_force(i))
			account->dropped_at = 0;
		else if (account->dropped_at == 0)
			account->dropped_at = now_ms;
		if (account->dropped_at != 0 &&
			(oldest < 0 || account->dropped_at < ACCOUNT(oldest)->dropped_at))
			oldest = i;
	}
	if (nfree < pm_max_pools && oldest >= 0)
		(void) pm_account_close(oldest);
	else
		generation = pg_atomic_read_u64(&pm_shared->generation);
}

/* A pool that found no free place when it was declared gets one now. */
static void
place_pools(void)
{
	PmRuleSet  *set = pm_rules_in_force();

	for (int i = 0; i < set->npools; i++)
	{
		if (set->accounts[i] != pm_other_account())
			continue;
		set->accounts[i] = pm_account_for_pool(set->pools[i].name);
		if (set->accounts[i] != pm_other_account())
			pg_atomic_fetch_add_u64(&pm_shared->generation, 1);
	}
}

/* Called by the worker at each tick; one dropped pool at a time. */
void
pm_accounts_tidy(int64 now_ms)
{
	free_closed(now_ms);
	close_dropped(now_ms);
	place_pools();
}

/* ---- room for applications ---- */

/* An application that may be given up. */
typedef struct Candidate
{
	int			account;
	uint32		incarnation;
	int			worth;			/* in the order above: 0, 1, 2 */
	uint64		last_used;
	uint64		sessions;		/* that it had: what comes from the file was
								 * not used yet */
} Candidate;

/* For qsort: who goes first. */
static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *left = a;
	const Candidate *right = b;

	if (left->worth != right->worth)
		return left->worth - right->worth;
	if (left->last_used != right->last_used)
		return left->last_used < right->last_used ? -1 : 1;
	return left->sessions < right->sessions ? -1 : left->sessions > right->sessions;
}

static Candidate
see_candidate(int i, uint32 incarnation)
{
	PmAccount  *a = ACCOUNT(i);
	Candidate	c = {.account = i,.incarnation = incarnation};

	c.last_used = pg_atomic_read_u64(&a->last_used);
	c.sessions = raw(a, PM_CONNECTS) + raw(a, PM_TAKEN_OVER);
	c.worth = c.sessions == 0 ? 0 : 1;
	if (pg_atomic_read_u32(&a->near_declared) != 0)
		c.worth = 2;
	return c;
}

/* Those that nobody holds, who goes first coming first. Returns how many. */
static int
list_candidates(Candidate *candidates)
{
	int			n = 0;
	int			nworthy = 0;

	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);

		if (PM_PLACE_STATE(word) != PM_PLACE_READY || PM_PLACE_HOLDERS(word) > 0)
			continue;
		candidates[n] = see_candidate(i, PM_PLACE_INCARNATION(word));
		nworthy += candidates[n++].worth == 2;
	}
	qsort(candidates, n, sizeof(Candidate), compare_candidates);
	if (nworthy > pm_max_applications / 4)
	{
		for (int i = n - nworthy; i < n - pm_max_applications / 4; i++)
			candidates[i].worth = 1;
		qsort(candidates, n, sizeof(Candidate), compare_candidates);
	}
	return n;
}

/* How many places are free; and how many are held. */
static int
count_free(int *held)
{
	int			nfree = 0;

	*held = 0;
	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		uint64		word = pg_atomic_read_u64(&KEY(i)->place);

		nfree += PM_PLACE_STATE(word) == PM_PLACE_FREE;
		*held += PM_PLACE_HOLDERS(word) > 0;
	}
	return nfree;
}

/*
 * Gives applications up until so many places are free, and those that never had
 * a session until so many are free for these.
 */
static void
give_up(int nfree, int wanted, int wanted_for_failed)
{
	Candidate  *candidates = palloc(sizeof(Candidate) * pm_max_applications);
	int			n = list_candidates(candidates);
	int			freed = 0;

	LWLockAcquire(pm_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < n && freed < FREED_AT_ONCE; i++)
	{
		Candidate  *c = &candidates[i];

		if (nfree + freed >= (c->worth == 0 ? Max(wanted, wanted_for_failed) : wanted))
			break;
		if (free_place(c->account, c->incarnation, PM_PLACE_READY))
			freed++;
	}
	LWLockRelease(pm_shared->lock);
	pfree(candidates);
}

/*
 * Called by the worker at each tick, before it brings sessions into the right
 * accounts: those that found no place are the first to get what is free now.
 * True when one found none since the last time; then how many places have
 * sessions is told too. Allocates; takes lock.
 */
bool
pm_accounts_make_room(int64 now_ms, int *held)
{
	uint32		wanted = pg_atomic_exchange_u32(&pm_shared->no_place, 0);
	int			for_failed = 0;
	int			for_all = 0;
	int			nfree;

	if ((wanted & PM_NO_PLACE_ADMITTED) != 0)
		pm_shared->crowded_until = now_ms + CROWDED_TIME;
	if ((wanted & PM_NO_PLACE_FAILED) != 0)
		for_failed = Min(pm_max_applications / 2 + RESERVE, pm_max_applications);
	if (now_ms < pm_shared->crowded_until)
		for_all = RESERVE;
	else
		pm_shared->applications_full = false;
	if (for_failed == 0 && for_all == 0)
		return false;

	nfree = count_free(held);
	if (nfree < Max(for_failed, for_all))
		give_up(nfree, for_all, for_failed);
	return (wanted & PM_NO_PLACE_ADMITTED) != 0;
}
