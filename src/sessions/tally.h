/*
 * tally.h
 *		One pass over the sessions: which pool each belongs to, what is to be
 *		said of it, and how many there are of each kind.
 */
#ifndef PM_TALLY_H
#define PM_TALLY_H

#include "base/identity.h"
#include "base/reason.h"
#include "datatype/timestamp.h"
#include "pools/declared.h"
#include "pools/rules.h"
#include "sessions/scan.h"

typedef struct PmCounts
{
	int			connections;
	int			active;
	int			idle;
	int			idle_in_transaction;
	int			idle_in_transaction_aborted;
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

/* All that a declaration, or a row of "applications", can tell apart. */
typedef struct PmClassKey
{
	const char *application_name;
	uint64		name_hash;
	Oid			datid;
	Oid			userid;
	uint64		identity;		/* pm_slot_identity(); 0 unless asked for, or
								 * when it has no slot */
	PmAddr		client_addr;	/* zero unless a declaration asks for one */
} PmClassKey;

typedef struct PmClass
{
	PmClassKey	key;
	char		application_name[NAMEDATALEN];
	bool		named;			/* the next two are known */
	char		datname[NAMEDATALEN];	/* as the client logged in */
	char		usename[NAMEDATALEN];
	int			pool;			/* index in rules, -1: none */
	int			account;		/* settle.c: -1 until it is looked up */
	uint32		incarnation;	/* of that */
	bool		role_known;		/* eligible.c: role_reason is filled in */
	PmReason	role_reason;	/* why the role's sessions are never retired */
	void	   *extra;			/* the caller's own, NULL at first */
} PmClass;

struct classes_hash;
struct shares_hash;

typedef struct PmTally
{
	TimestampTz now;
	int64		at;				/* the same moment, in us of the monotonic
								 * clock */
	const PmRules *rules;
	bool		by_login;		/* classes are told apart by names of login */
	struct classes_hash *classes;
	struct shares_hash *shares; /* shares.c; NULL: not counted */
} PmTally;

extern void pm_tally_begin(PmTally *tally);
extern PmClass *pm_tally_class(PmTally *tally, const PmSession *session);
extern PmFlags pm_tally_flags(const PmTally *tally, const PmClass *class, const PmSession *session);
extern int64 pm_least_age(const PmPool *pool);
extern PmAges pm_tally_ages(const PmTally *tally, const PmSession *session);
extern void pm_tally_end(PmTally *tally);

extern const char *pm_state_name(PmSessionState state);
extern void pm_count(const PmTally *tally, PmCounts *counts, const PmSession *session, const PmFlags *flags);

/* Never negative: clocks are set back, and the scan is not the clock's instant. */
static inline int64
pm_elapsed(TimestampTz since, TimestampTz now)
{
	return Max(now - since, 0);
}

/*
 * Since when the session has been in its transaction, 0 when it is in none. The
 * server forgets when a failed one began: that one is counted from its failure.
 */
static inline TimestampTz
pm_xact_since(const PmSession *session)
{
	if (session->state == PM_STATE_IDLE_IN_TRANSACTION_ABORTED)
		return session->state_change;
	return session->xact_start;
}

/* Certainly checked out of the client's pool; a lower bound of what is. */
static inline int
pm_busy(const PmCounts *counts)
{
	return counts->active + counts->idle_in_transaction + counts->idle_in_transaction_aborted;
}

#endif							/* PM_TALLY_H */
