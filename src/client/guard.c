/*
 * guard.c
 *		Does this login fit its pool's limit?
 *
 * Decided when it is authenticated, so that nobody learns or guesses anything here who could
 * not log in. A login that fits takes its seat (seats.h), by atomics alone, and goes on. One
 * that does not is looked at more closely: whether what the words say is in force, and whether
 * its role is exempt (exempt.c). Whatever cannot be told admits it.
 *
 * The refusal is FATAL 53300, as the server's own when it is full: client pools and poolers
 * take that as "try again".
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/wake.h"
#include "client/exempt.h"
#include "client/guard.h"
#include "client/logins.h"
#include "libpq/libpq-be.h"
#include "pools/assign.h"
#include "utils/timestamp.h"

#define LOG_INTERVAL	1000	/* ms, between two lines of a pool */

static int	my_seat = -1;		/* until the session has begun */
static uint32 settled;			/* when this login began to look for one */

/* The same for the worker, which checks the count. */
static void
note_seat(int seat)
{
	my_seat = seat;
	pg_atomic_write_u32(&pm_seats->entering[pm_my_index()], seat + 1);
}

/* ---- refusing ---- */

/* One line a second of each pool. Returns how many had none since the last one. */
static uint32
take_turn_to_log(PmSeat *seat)
{
	uint64		now = pm_monotonic_ms();
	uint64		told = pg_atomic_read_u64(&seat->told_at);

	if ((told == 0 || now - told >= LOG_INTERVAL) &&
		pg_atomic_compare_exchange_u64(&seat->told_at, &told, now))
		return pg_atomic_exchange_u32(&seat->untold, 0);
	pg_atomic_fetch_add_u32(&seat->untold, 1);
	pm_login_unlogged = true;
	return 0;
}

/* Of a pool, after "pool " or what else; or what stands for one. */
static const char *
name_of(int seat, const char *kind)
{
	static char text[PM_NAME_LEN + 32];

	if (seat == pm_undeclared_seat())
		return "undeclared applications";
	snprintf(text, sizeof(text), "%s\"%s\"", kind, pm_accounts->all[seat].owner.name);
	return text;
}

/* So many of them, in words of the server. */
static const char *
are(int n)
{
	return n == 1 ? "is" : "are";
}

static const char *
connections(int n)
{
	return n == 1 ? "connection" : "connections";
}

/* What the client is told, but for the name. */
typedef struct Refusal
{
	char		message[160];
	char		detail[160];
	const char *hint;
} Refusal;

static void
say_pool_full(Refusal *say, int seat, uint64 word)
{
	int			limit = PM_SEAT_LIMIT(word);
	int			held = PM_SEAT_HELD(word);

	snprintf(say->message, sizeof(say->message), "too many connections for %s", name_of(seat, "pool "));
	snprintf(say->detail, sizeof(say->detail), "The limit is %d %s, and %d %s taken.",
			 limit, connections(limit), held, are(held));
	say->hint = seat == pm_undeclared_seat() ?
		"Close connections that are not used, declare a pool for them, or raise \"pool_monitor.undeclared_budget\"." :
		"Close connections that are not used, start fewer processes, or raise the pool's budget.";
}

static void
say_shared_full(Refusal *say, int seat, uint64 shared)
{
	int			total = PM_SHARED_TOTAL(shared);

	/* who is exempt may stand above */
	int			used = Min(PM_SHARED_USED(shared), total);

	snprintf(say->message, sizeof(say->message), "remaining connection slots are reserved for %s",
			 seat == pm_undeclared_seat() ? "declared pools" : name_of(seat, "pools other than "));
	snprintf(say->detail, sizeof(say->detail), "%d %s %s not reserved, and %d of them %s taken.",
			 total, connections(total), are(total), used, are(used));
	say->hint = "Close connections that are not used, or lower what pools have reserved.";
}

static void
say_too_fast(Refusal *say, int seat, uint64 pace)
{
	snprintf(say->message, sizeof(say->message), "too many logins at a time for %s", name_of(seat, "pool "));
	snprintf(say->detail, sizeof(say->detail), "%d a second %s admitted, and %d at once.",
			 (int) (pace & 0xFFFFF), are((int) (pace & 0xFFFFF)), (int) ((pace >> 20) & 0xFFFFF));
	say->hint = "Try again a little later, with a delay that grows.";
}

/*
 * Whoever holds a place that he does not use is asked for it, by the worker (yield.c), so
 * that the client's next try finds one. It is awake already while an earlier wish is open.
 */
static void
wish_for_place(int seat)
{
	if (seat != pm_undeclared_seat() &&
		pg_atomic_exchange_u64(&pm_seats->all[seat].wanted_at, pm_monotonic_ms()) == 0)
		pm_wake_worker();
}

/* Why it does not fit, where that is not the pool's own limit. */
static void
count_why(PmSeatVerdict verdict)
{
	if (verdict == PM_SEAT_SHARED_FULL)
		pm_login_count(PM_GUARDED_BY_RESERVES);
	else if (verdict == PM_SEAT_TOO_FAST)
		pm_login_count(PM_GUARDED_BY_RATE);
}

/* In the words of what it was decided by, which may be another by now. */
static pg_noinline void
refuse(int seat, PmSeatVerdict verdict, const PmSeatSeen *seen)
{
	PmSeat	   *of = &pm_seats->all[seat];
	uint32		unlogged;
	Refusal		say = {""};

	if (verdict == PM_SEAT_POOL_FULL)
		say_pool_full(&say, seat, seen->word);
	else if (verdict == PM_SEAT_SHARED_FULL)
		say_shared_full(&say, seat, seen->shared);
	else
		say_too_fast(&say, seat, seen->pace);
	pm_login_failed(PM_GUARDED);
	count_why(verdict);
	pg_atomic_write_u64(&of->guarded_at, GetCurrentTimestamp());
	if (verdict != PM_SEAT_TOO_FAST)
		wish_for_place(seat);
	unlogged = take_turn_to_log(of);
	ereport(FATAL,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("%s", say.message),
			 errdetail("%s", say.detail),
			 unlogged > 0 ? errdetail_log("%s %u more were refused since the last such line.", say.detail, unlogged) : 0,
			 errhint("%s", say.hint)));
}

/* ---- deciding ---- */

/* Whoever decides for it here, this login is not refused, and not counted as one that would be. */
static bool
is_exempt(int seat)
{
	uint64		word = pg_atomic_read_u64(&pm_seats->all[seat].word);

	return !pm_seats_in_force(settled) || pm_role_is_exempt(MyProcPort->user_name, !PM_SEAT_SUPERUSERS(word));
}

static void
count_would_be(int seat, PmSeatVerdict verdict)
{
	pm_login_count(PM_WOULD_BE_GUARDED);
	count_why(verdict);
	pg_atomic_write_u64(&pm_seats->all[seat].guarded_at, GetCurrentTimestamp());
}

/*
 * It does not fit. The reserves of other pools are in force whatever its own guard is: who is
 * above what he only reports is held to them, too.
 */
static pg_noinline void
weigh(int seat, PmSeatVerdict verdict, PmSeatSeen *seen)
{
	if (PM_SEAT_MODE(seen->word) != PM_GUARD_ENFORCE && verdict != PM_SEAT_SHARED_FULL)
	{
		if (pm_seat_enter_above(seat, seen))
		{
			note_seat(seat);
			if (!is_exempt(seat))
				count_would_be(seat, verdict);
			return;
		}
		verdict = PM_SEAT_SHARED_FULL;
	}

	/* last of all: it must hold for whatever was seen until here */
	if (!is_exempt(seat))
		refuse(seat, verdict, seen);
	pm_seat_enter_anyway(seat);
	note_seat(seat);
}

void
pm_guard_login(void)
{
	char		names[3][NAMEDATALEN];
	PmIdentity	who;
	PmSeatVerdict verdict;
	PmSeatSeen	seen;
	int			seat;

	settled = pm_seats_settled();
	pm_login_identity(&who, names);
	seat = pm_seat_of(pm_pool_account_of(&who));
	verdict = pm_seat_enter(seat, &seen);
	if (verdict != PM_SEAT_FITS)
	{
		weigh(seat, verdict, &seen);
		return;
	}
	note_seat(seat);
	if (unlikely(pm_seat_would_not_fit(seat)) && !is_exempt(seat))
		count_would_be(seat, PM_SEAT_SHARED_FULL);
}

int
pm_guard_seat(void)
{
	return my_seat;
}

/* The seat is the session's. */
void
pm_guard_begun(void)
{
	note_seat(-1);
}

/* The login has come to nothing. */
void
pm_guard_gone(void)
{
	if (my_seat < 0)
		return;
	pm_seat_give_up(my_seat);
	note_seat(-1);
}
