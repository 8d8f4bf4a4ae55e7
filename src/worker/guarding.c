/*
 * guarding.c
 *		Puts the guards in force that are declared.
 *
 * At the end of a tick, which has moved all sessions to the accounts that the declarations say,
 * each seat gets the terms of its pool. Only then are they held against anybody: what a login
 * compares, and these declarations, are of the same moment (seats.h: changes, settled).
 *
 * Reserves are in force all together or not at all: those that leave too little to anybody else
 * on this server, which may have fewer connections than the one they were declared on, are not.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "base/guc.h"
#include "events/events.h"
#include "worker/guarding.h"

#define UNDECLARED_BURST 20		/* logins at once, as connect_burst of pools
								 * is by default */
#define LONGEST_CHECK	1000	/* ms; between two checks of the count, at
								 * least */

/* As the seats have them; of this process, so all are written anew when the worker begins. */
static PmSeatTerms applied[2 * PM_MOST_POOLS + 1];
static bool are_applied = false;

/* All reserves of pools whose guard is on, and those that are in force. */
typedef struct Reserves
{
	int64		declared;
	int64		enforced;
	bool		fit;
} Reserves;

/* It also tells the logins that somebody watches, whatever becomes of the tick. */
void
pm_guarding_begin(PmGuarding *guarding)
{
	pg_atomic_write_u64(&pm_seats->watched_at, pm_monotonic_ms());
	guarding->changes = pg_atomic_read_u32(&pm_seats->changes);
	pg_read_barrier();
	guarding->moments = pm_guard_moments();
}

/* The latter also where nobody is admitted meanwhile: what only reports is to begin, too. */
bool
pm_guarding_is_behind(void)
{
	return pg_atomic_read_u32(&pm_seats->changes) != pg_atomic_read_u32(&pm_seats->settled) ||
		pg_atomic_read_u64(&pm_seats->terms_of) != pg_atomic_read_u64(&pm_declarations->generation);
}

/* ---- reserves ---- */

static Reserves
sum_reserves(const PmRules *rules)
{
	Reserves	sum = {0};

	for (int i = 0; i < rules->npools; i++)
	{
		const PmPool *pool = &rules->pools[i];

		if (pool->guard != PM_GUARD_OFF)
			sum.declared += pool->reserved;
		if (pool->guard == PM_GUARD_ENFORCE)
			sum.enforced += pool->reserved;
	}
	sum.fit = sum.enforced == 0 || sum.enforced + PM_LEFT_TO_OTHERS <= pm_usable_connections();
	return sum;
}

/* Once, when they do not fit any more, and when they do again. */
static void
tell_of_fit(const Reserves *reserves)
{
	uint32		unfit = reserves->fit ? 0 : reserves->enforced;
	uint32		before = pg_atomic_exchange_u32(&pm_seats->unfit, unfit);

	if (unfit == before)
		return;
	pm_event(unfit > 0 ? PM_EVENT_GUARD_DISARMED : PM_EVENT_GUARD_ARMED, NULL, 0,
			 "{\"reserved\": " INT64_FORMAT ", \"usable_connections\": %d}", reserves->enforced, pm_usable_connections());
	if (unfit > 0)
		ereport(LOG,
				(errmsg("pool_monitor keeps no connections reserved: " INT64_FORMAT " are to be, of %d that can be used here",
						reserves->enforced, pm_usable_connections()),
				 errdetail("At least %d must be left to others.", PM_LEFT_TO_OTHERS),
				 errhint("Lower \"reserved\" in pool_monitor.pools, or raise \"max_connections\".")));
}

static void
set_shared(const Reserves *reserves)
{
	int			usable = pm_usable_connections();
	int			total = reserves->fit && reserves->enforced > 0 ? usable - (int) reserves->enforced : -1;
	int			tried_out = -1;

	if (reserves->declared > reserves->enforced)
		tried_out = (int) Max(usable - reserves->declared, 0);
	pm_seats_set_shared(total, tried_out);
}

/* ---- terms ---- */

static void
make_terms(PmSeatTerms *terms, PmGuardMode mode, int limit)
{
	memset(terms, 0, sizeof(*terms));
	terms->mode = mode;
	terms->limit = mode == PM_GUARD_OFF ? -1 : limit;
}

static void
terms_of_pool(PmSeatTerms *terms, const PmPool *pool, const Reserves *reserves)
{
	make_terms(terms, pool->guard, pool->budget);
	if (pool->guard == PM_GUARD_OFF)
		return;
	terms->reserved = pool->guard == PM_GUARD_ENFORCE && reserves->fit ? pool->reserved : 0;
	terms->tried_out = pool->reserved;
	terms->base = pool->base;
	terms->rate = Max(pool->connect_rate, 0);
	terms->burst = pool->connect_burst;
	terms->superusers = pool->guard_superusers;
}

/* What is undeclared is not known before the declarations are, nor when they have gone with the extension. */
static bool
are_declared(void)
{
	Oid			database;
	Oid			table;

	pm_load_watch(&database, &table);
	return OidIsValid(table);
}

static void
terms_of_undeclared(PmSeatTerms *terms)
{
	make_terms(terms, are_declared() ? pm_undeclared_guard : PM_GUARD_OFF, pm_undeclared_budget);
	if (terms->mode == PM_GUARD_OFF)
		return;
	terms->rate = Max(pm_undeclared_connect_rate, 0);
	terms->burst = UNDECLARED_BURST;
}

/* Of each seat; what is disarmed has none, but for its reserve, which is the others' affair. */
static void
make_all_terms(PmSeatTerms *all, const PmRules *rules, const Reserves *reserves)
{
	for (int i = 0; i < pm_num_seats(); i++)
		make_terms(&all[i], PM_GUARD_OFF, -1);
	for (int i = 0; i < rules->npools; i++)
	{
		int			seat = pm_seat_of(rules->accounts[i]);

		if (seat != pm_undeclared_seat())
			terms_of_pool(&all[seat], &rules->pools[i], reserves);
	}
	terms_of_undeclared(&all[pm_undeclared_seat()]);
	for (int i = 0; i < pm_num_seats(); i++)
	{
		if (pg_atomic_read_u32(&pm_seats->all[i].disarmed) == 0)
			continue;
		all[i].mode = PM_GUARD_OFF;
		all[i].limit = -1;
		all[i].rate = 0;
	}
}

static void
apply(const PmSeatTerms *all)
{
	for (int i = 0; i < pm_num_seats(); i++)
	{
		if (are_applied && memcmp(&all[i], &applied[i], sizeof(PmSeatTerms)) == 0)
			continue;
		pm_seat_set_terms(i, &all[i]);
		memcpy(&applied[i], &all[i], sizeof(PmSeatTerms));	/* with what is between
															 * the fields */
	}
	are_applied = true;
}

/*
 * Whether the pools matter to what is undeclared is known to who publishes them by his own
 * settings; when ours change, the tick that has seen it is not enough.
 */
static void
follow_settings(void)
{
	static int	guard = -1;
	static int	budget = -1;
	static int	rate = -1;

	if (guard != -1 &&
		(guard != pm_undeclared_guard || budget != pm_undeclared_budget || rate != pm_undeclared_connect_rate))
		pm_seats_change();
	guard = pm_undeclared_guard;
	budget = pm_undeclared_budget;
	rate = pm_undeclared_connect_rate;
}

/* Three strikes are of three samples, also when the worker hurries. */
static bool
is_time_to_check(void)
{
	static int64 next = 0;
	int64		now = pm_monotonic_ms();

	if (now < next)
		return false;
	next = now + Min(pm_sample_interval, LONGEST_CHECK);
	return true;
}

void
pm_guarding_tick(const PmGuarding *guarding, const PmRules *rules, const PmCounts *pools, const PmCounts *undeclared)
{
	Reserves	reserves = sum_reserves(rules);
	PmSeatTerms *all = palloc(sizeof(PmSeatTerms) * pm_num_seats());

	follow_settings();
	if (is_time_to_check())
		pm_guard_check(guarding->moments, rules, pools, undeclared);
	tell_of_fit(&reserves);
	make_all_terms(all, rules, &reserves);
	set_shared(&reserves);
	apply(all);
	pg_write_barrier();
	pg_atomic_write_u32(&pm_seats->settled, guarding->changes);
	pg_atomic_write_u64(&pm_seats->terms_of, rules->generation);
}
