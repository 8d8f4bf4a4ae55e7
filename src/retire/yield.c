/*
 * yield.c
 *		Who gives way to a login that the guard has refused, in the worker.
 *
 * A login of a pool that finds no place says so on its seat (wanted_at), wakes the worker,
 * and is refused: it waits for nothing. The worker then asks one session that has been idle
 * beyond idle_limit to end itself, so that the client's next try finds a place: one of the
 * pool itself, where that is at its limit; where the part of the server is full that is
 * anybody's, one of those pools that are in it. The longest idle first; but those that have
 * declined after all others.
 *
 * It is a retirement like those on schedule: safe in the same way, within the window, not of
 * protected roles, not of a pool that pauses for what its clients do, never below base and
 * of one role's own (shares.c), within recycle_limit. But it does not wait for the pool's
 * turn, nor does it use that up; and it goes on while the server refuses logins, which is
 * when it helps.
 *
 * For one pool's sake, and of one pool's sessions, one a second is asked, however many are
 * refused. A place that was freed is for all that were refused till then: who still is
 * wants one anew. What nobody could be found for is forgotten after WANTED_FOR: that client
 * is gone, or tries again.
 *
 * All that is undeclared wants nothing here: no declaration says that others are to make
 * room for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/clock.h"
#include "pools/declared.h"
#include "protected/verdicts.h"
#include "retire/ask.h"
#include "retire/eligible.h"
#include "retire/outcomes.h"
#include "retire/pauses.h"
#include "retire/questions.h"
#include "retire/shares.h"
#include "retire/yield.h"
#include "sessions/scan.h"
#include "sessions/slot.h"
#include "sessions/tally.h"
#include "utils/memutils.h"

#define WANTED_FOR		5000	/* ms */
#define ASK_INTERVAL	1000	/* ms; of each pool */
#define LOOK_INTERVAL	100		/* ms; between two looks at all sessions */
#define LOOK_UP_BUDGET	20		/* ms; of roles in one look, and again when
								 * asking */

/* What a pool that wants a place has none of. */
typedef enum Lack
{
	LACKS_NOTHING,
	LACKS_OWN,					/* it is at its limit */
	LACKS_SHARED
} Lack;

/* A pool, as one look finds it. */
typedef struct Giver
{
	bool		is_wanted;		/* may any of its sessions be asked? */
	PmAsk		next;			/* a pid of 0: none of them */
} Giver;

typedef struct Look
{
	int64		now;			/* ms, monotonic */
	PmTally		tally;
	Lack	   *lacks;			/* of each seat whose turn it is */
	bool		lacks_shared;	/* does any? */
	Giver	   *givers;			/* of each pool of the tally's rules */
	bool		complete;		/* was nobody left out that might be asked in
								 * a moment? */
} Look;

static int64 *asked_at = NULL;	/* ms, monotonic: for whose sake, or of whom;
								 * of each seat but the last */
static int64 looked_at = 0;		/* likewise: at all sessions */

/* ---- who wants a place ---- */

static bool
shared_is_full(void)
{
	uint64		word = pg_atomic_read_u64(&pm_seats->shared);

	return PM_SHARED_TOTAL(word) != PM_SHARED_NONE && PM_SHARED_USED(word) >= PM_SHARED_TOTAL(word);
}

static Lack
lack_of(int seat)
{
	uint64		word = pg_atomic_read_u64(&pm_seats->all[seat].word);

	if (PM_SEAT_MODE(word) == PM_GUARD_ENFORCE && PM_SEAT_HELD(word) >= PM_SEAT_LIMIT(word))
		return LACKS_OWN;
	return shared_is_full() && PM_SEAT_HELD(word) >= PM_SEAT_RESERVED(word) ? LACKS_SHARED : LACKS_NOTHING;
}

/* Does it still? Else that is forgotten, unless another login has been refused meanwhile. */
static bool
wants(int seat, int64 now)
{
	uint64		wanted_at = pg_atomic_read_u64(&pm_seats->all[seat].wanted_at);

	if (wanted_at == 0)
		return false;
	if (now - (int64) wanted_at <= WANTED_FOR && lack_of(seat) != LACKS_NOTHING)
		return true;
	return !pg_atomic_compare_exchange_u64(&pm_seats->all[seat].wanted_at, &wanted_at, 0);
}

static int64
turn_of(int seat)
{
	return asked_at[seat] + ASK_INTERVAL;
}

/* When somebody may be asked for any; PG_INT64_MAX: none wants it. */
static int64
next_turn(int64 now)
{
	int64		next = PG_INT64_MAX;

	for (int i = 0; i < pm_undeclared_seat(); i++)
	{
		if (wants(i, now))
			next = Min(next, turn_of(i));
	}
	return next == PG_INT64_MAX ? next : Max(next, looked_at + LOOK_INTERVAL);
}

static void
note_lacks(Look *look)
{
	for (int i = 0; i < pm_undeclared_seat(); i++)
	{
		if (!wants(i, look->now) || look->now < turn_of(i))
			continue;
		look->lacks[i] = lack_of(i);
		look->lacks_shared |= look->lacks[i] == LACKS_SHARED;
	}
}

/* ---- who gives way ---- */

static bool
is_in_shared(int seat)
{
	return pm_seat_shared_part(pg_atomic_read_u64(&pm_seats->all[seat].word)) > 0;
}

static void
choose_givers(Look *look)
{
	const PmRules *rules = look->tally.rules;

	for (int i = 0; i < rules->npools; i++)
	{
		int			seat = pm_seat_of(rules->accounts[i]);

		if (seat == pm_undeclared_seat() || !pm_retires(&rules->pools[i]))
			continue;
		if (look->lacks[seat] != LACKS_OWN && !(look->lacks_shared && is_in_shared(seat)))
			continue;
		if (pm_is_asking(rules->accounts[i]) || look->now < turn_of(seat))
			look->complete = false;
		else
			look->givers[i].is_wanted = true;
	}
}

static bool
comes_before(const PmSession *session, const PmSession *other)
{
	if (other->pid == 0)
		return true;
	if (pm_has_declined(session) != pm_has_declined(other))
		return pm_has_declined(other);
	return pm_slots->all[session->index].used_at < pm_slots->all[other->index].used_at;
}

/* Of each pool the one that is asked first. Looks up roles, no longer than LOOK_UP_BUDGET. */
static void
find_sessions(Look *look)
{
	const PmRules *rules = look->tally.rules;
	PmScan		scan;
	const PmSession *session;

	pm_shares_count(&look->tally, true);
	pm_verdicts_begin(LOOK_UP_BUDGET);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		PmClass    *class = pm_tally_class(&look->tally, session);
		PmFlags		flags = pm_tally_flags(&look->tally, session);
		PmAsk	   *next;

		if (class->pool < 0 || !look->givers[class->pool].is_wanted)
			continue;
		next = &look->givers[class->pool].next;
		if (comes_before(session, &next->session) && !pm_asked_lately(session, look->now) &&
			!pm_paused_for_clients(rules->accounts[class->pool], session->userid) &&
			pm_gives_way(&look->tally, class, session, &flags))
			pm_ask_init(next, session, class->pool, rules, PM_RULE_GIVES_WAY);
	}
	if (pm_verdicts_put_off())
		look->complete = false;
}

/* NULL: nobody. */
static PmAsk *
giver_to(const Look *look, int seat)
{
	const PmRules *rules = look->tally.rules;
	PmAsk	   *first = NULL;

	for (int i = 0; i < rules->npools; i++)
	{
		PmAsk	   *ask = &look->givers[i].next;
		int			of = pm_seat_of(rules->accounts[i]);

		if (ask->session.pid == 0)
			continue;
		if (look->lacks[seat] == LACKS_OWN ? of != seat : !is_in_shared(of))
			continue;
		if (first == NULL || comes_before(&ask->session, &first->session))
			first = ask;
	}
	return first;
}

/* Asks somebody for this seat's sake. Where there is nobody, it is looked again in a second. */
static void
serve(Look *look, int seat)
{
	PmAsk	   *ask = giver_to(look, seat);

	if (ask == NULL)
	{
		if (look->complete)
			asked_at[seat] = look->now;
		return;
	}
	/* from now on storms of its role are noticed */
	pm_pauses_note_next(ask->account, &ask->session);
	if (pm_question_put_for(ask, seat))
		asked_at[seat] = asked_at[pm_seat_of(ask->account)] = look->now;
	ask->session.pid = 0;
}

/* The transaction is for the roles, and for what is allocated on the way. */
static void
look_at_all(int64 now)
{
	MemoryContext caller = CurrentMemoryContext;
	Look		look = {.now = now,.complete = true};

	looked_at = now;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pm_tally_begin(&look.tally);
	look.givers = palloc0(sizeof(Giver) * (look.tally.rules->npools + 1));
	look.lacks = palloc0(sizeof(Lack) * pm_num_seats());
	note_lacks(&look);
	choose_givers(&look);
	find_sessions(&look);
	pm_verdicts_begin(LOOK_UP_BUDGET);
	for (int i = 0; i < pm_undeclared_seat() && !pm_questions_at_limit(); i++)
	{
		if (look.lacks[i] != LACKS_NOTHING)
			serve(&look, i);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

/* ---- the worker ---- */

static bool
may_ask(void)
{
	return pm_load_state(pg_atomic_read_u64(&pm_declarations->load_requested)) == PM_DECLARATIONS_CURRENT &&
		pm_questions_allowed() && pm_seats_in_force(pm_seats_settled()) && !pm_questions_at_limit();
}

/*
 * Called by the worker at each turn of its loop, in a memory context that is reset between
 * them. Returns in how many ms it wants to be called again.
 */
int64
pm_yield_tick(void)
{
	int64		now = pm_monotonic_ms();
	int64		turn = next_turn(now);

	if (turn == PG_INT64_MAX)
		return WANTED_FOR;
	if (turn > now)
		return turn - now;
	if (!may_ask())
		return ASK_INTERVAL;
	look_at_all(now);
	return pm_questions_wait(LOOK_INTERVAL);
}

/* Called by the worker when it starts. */
void
pm_yield_start(void)
{
	asked_at = MemoryContextAllocZero(TopMemoryContext, sizeof(int64) * pm_num_seats());
}
