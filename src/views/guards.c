/*
 * guards.c
 *		The view guards: what each pool's guard holds, and has done.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/seats.h"
#include "base/result.h"
#include "base/shmem.h"
#include "pools/declared.h"

/* -1 is NULL. */
static void
put_limit(PmRow *row, int limit)
{
	if (limit >= 0)
		pm_put_int(row, limit);
	else
		pm_put_null(row);
}

/* Of the shared part, where it has a limit. */
static int
shared_free(void)
{
	uint64		shared = pg_atomic_read_u64(&pm_seats->shared);

	return PM_SHARED_TOTAL(shared) == PM_SHARED_NONE ? -1 :
		Max(PM_SHARED_TOTAL(shared) - PM_SHARED_USED(shared), 0);
}

/*
 * Are logins held against its terms? Of a pool without limit, reserve and rate there are none. What
 * was declared a moment ago is not in force before the worker has looked.
 */
static bool
is_armed(PmSeat *seat, PmGuardMode mode, uint64 word)
{
	return mode != PM_GUARD_OFF && PM_SEAT_MODE(word) == mode && pg_atomic_read_u32(&seat->disarmed) == 0 &&
		pm_seats_in_force(pm_seats_settled());
}

/*
 * Since when it has been held to what it is: its own terms, and what is reserved in all. What
 * is only to be reserved refuses nobody, and whoever may write declarations may change it: it
 * is of those alone that only report.
 */
static TimestampTz
in_force_since(int which, PmGuardMode mode)
{
	TimestampTz since = Max(pg_atomic_read_u64(&pm_seats->since[which]), pg_atomic_read_u64(&pm_seats->shared_since));

	return mode == PM_GUARD_REPORT ? Max(since, (TimestampTz) pg_atomic_read_u64(&pm_seats->trial_since)) : since;
}

static void
put_guard(ReturnSetInfo *result, const char *pool, int which, int account, PmGuardMode mode, int rate)
{
	PmSeat	   *seat = &pm_seats->all[which];
	uint64		word = pg_atomic_read_u64(&seat->word);
	PmRow		row = {0};

	if (pool != NULL)
		pm_put_text(&row, pool);
	else
		pm_put_null(&row);
	pm_put_text(&row, pm_guard_mode_name(mode));
	pm_put(&row, BoolGetDatum(is_armed(seat, mode, word)));
	pm_put_int(&row, PM_SEAT_HELD(word));
	pm_put_int(&row, pg_atomic_read_u32(&seat->peak));
	put_limit(&row, PM_SEAT_LIMIT(word) == PM_SEAT_NONE ? -1 : PM_SEAT_LIMIT(word));
	pm_put_int(&row, PM_SEAT_RESERVED(word));
	put_limit(&row, shared_free());
	put_limit(&row, rate);
	pm_put_bound(&row, pm_account_since_reset(account, PM_GUARDED));
	pm_put_bound(&row, pm_account_since_reset(account, PM_WOULD_BE_GUARDED));
	pm_put_time(&row, pg_atomic_read_u64(&seat->guarded_at));
	pm_put_time(&row, in_force_since(which, mode));
	pm_put_row(result, &row);
}

PG_FUNCTION_INFO_V1(pm_guards);

/* guards(). */
Datum
pm_guards(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const PmRules *rules;

	pm_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	rules = pm_rules_current();
	for (int i = 0; i < rules->npools; i++)
	{
		int			seat = pm_seat_of(rules->accounts[i]);

		if (seat != pm_undeclared_seat())
			put_guard(result, rules->pools[i].name, seat, rules->accounts[i], rules->pools[i].guard,
					  rules->pools[i].guard == PM_GUARD_OFF ? -1 : rules->pools[i].connect_rate);
	}
	put_guard(result, NULL, pm_undeclared_seat(), pm_undeclared_account(), pm_undeclared_guard,
			  pm_undeclared_guard == PM_GUARD_OFF ? -1 : pm_undeclared_connect_rate);
	return (Datum) 0;
}
