/*
 * tally.h
 *		One pass over the sessions: which pool each belongs to, what is to be
 *		said of it, and how many there are of each kind.
 */
#ifndef PM_TALLY_H
#define PM_TALLY_H

#include "datatype/timestamp.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/classes.h"
#include "sessions/session.h"

typedef struct PmCounts
{
	int			connections;
	int			in_state[PM_NUM_STATES];
	int			stale;
	int			idle_over_limit;
	int			leak_suspects;
	int64		oldest;			/* us, age of the oldest session */
	int64		longest_idle;	/* us, of one that is idle */
} PmCounts;

/* What its pool's declaration says of a session at one moment. */
typedef struct PmFlags
{
	bool		over_age;
	bool		over_margin;	/* over age by recycle_margin too */
	bool		stale;
	bool		idle_over_limit;
	bool		leak_suspect;
	bool		no_slot;		/* might be over age or limit, but has none */
} PmFlags;

/*
 * How old a session is, in us: by the younger of the wall clock and the monotonic
 * one, of which its backend keeps stamps. A clock that is set makes nobody old.
 */
typedef struct PmAges
{
	bool		sure;			/* false: no slot, so by the wall clock alone */
	int64		age;
	int64		idle;			/* -1: it is not idle */
	int64		xact;			/* -1: in no transaction; see pm_xact_since() */
} PmAges;

struct shares_hash;

typedef struct PmTally
{
	TimestampTz now;
	int64		at;				/* the same moment, in us of the monotonic
								 * clock */
	const PmRules *rules;
	uint64		pass;			/* of the cache */
	struct shares_hash *shares; /* shares.c; NULL: not counted */
} PmTally;

/* Of a pool, at that moment in us of the monotonic clock. */
extern PmStanding pm_standing(const PmCounts *counts, int account, int64 at);

extern void pm_tally_begin(PmTally *tally);
extern void pm_class_empty(PmClass *class, uint64 pass);
extern PmFlags pm_flags_now(const PmTally *tally, const PmSession *session);
extern int64 pm_least_age(const PmPool *pool);
extern PmAges pm_tally_ages(const PmTally *tally, const PmSession *session);

extern const char *pm_state_name(PmSessionState state);
extern void pm_count_flags(PmCounts *counts, const PmFlags *flags);
extern void pm_note_ages(const PmTally *tally, PmCounts *counts, const PmSession *session);
extern void pm_counts_add(PmCounts *to, const PmCounts *counts);

/* Never negative: clocks are set back, and the scan is not the clock's instant. */
static inline int64
pm_elapsed(TimestampTz since, TimestampTz now)
{
	return Max(now - since, 0);
}

/* The session's class; until the next tally of this process begins. */
static inline PmClass *
pm_tally_class(const PmTally *tally, const PmSession *session)
{
	PmClass    *class = session->class;

	if (unlikely(class->pass != tally->pass))
		pm_class_empty(class, tally->pass);
	return class;
}

/*
 * A session in no pool has no flags. One that the wall clock makes old, but that
 * has no slot to tell by the other clock, is flagged so, and as nothing else.
 */
static inline PmFlags
pm_tally_flags(const PmTally *tally, const PmSession *session)
{
	PmFlags		none = {0};

	return likely(tally->now <= session->calm_until) ? none : pm_flags_now(tally, session);
}

/* Does the wall clock say that it is older, or has been idle for longer, than all so far? */
static inline bool
pm_is_longest(const PmTally *tally, const PmCounts *counts, const PmSession *session)
{
	return tally->now - session->backend_start > counts->oldest ||
		(session->state == PM_STATE_IDLE && tally->now - session->state_change > counts->longest_idle);
}

static inline void
pm_count(const PmTally *tally, PmCounts *counts, const PmSession *session, const PmFlags *flags)
{
	counts->connections++;
	counts->in_state[session->state]++;
	if (unlikely(tally->now > session->calm_until))
		pm_count_flags(counts, flags);
	if (unlikely(pm_is_longest(tally, counts, session)))
		pm_note_ages(tally, counts, session);
}

/* Is it certainly checked out of the client's pool? */
static inline bool
pm_is_busy(PmSessionState state)
{
	return state == PM_STATE_ACTIVE || state == PM_STATE_IDLE_IN_TRANSACTION ||
		state == PM_STATE_IDLE_IN_TRANSACTION_ABORTED;
}

/* Certainly checked out of the client's pool; a lower bound of what is. */
static inline int
pm_busy(const PmCounts *counts)
{
	return counts->in_state[PM_STATE_ACTIVE] + counts->in_state[PM_STATE_IDLE_IN_TRANSACTION] +
		counts->in_state[PM_STATE_IDLE_IN_TRANSACTION_ABORTED];
}

#endif							/* PM_TALLY_H */
