/*
 * room.c
 *		Makes room for applications.
 *
 * Whoever may log in, or only reach the server, can make up names; without more
 * they would fill the places for good. So when somebody found no place, the worker
 * gives up those of applications without sessions, and for CROWDED_TIME after that it
 * keeps an eighth of the places free. What they had counted goes to "(other)". They go
 * in this order:
 *
 *	- those that never had a session: only failed logins;
 *	- those that had;
 *	- those that exchanged sessions with a declared pool, because a declaration is
 *	  being changed (or a session changes its name): but of these only a quarter of
 *	  the places is kept so, or else a session that changes its name again and again
 *	  between a pool's and made-up ones would fill them.
 *
 * Among these the applications of the role that has the most of them go first, so
 * who makes up names loses his own; and of these what was used last goes last. What
 * has a session stays, and an application that comes when all have is in "(other)"
 * until one of them ends. Failed logins under new names get places that others of
 * their kind had: they push nobody else out.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "accounts/figures.h"
#include "accounts/place.h"
#include "accounts/places.h"
#include "base/guc.h"

/* ms since an application found no place */
#define CROWDED_TIME	(INT64CONST(60) * 60 * 1000)

/* kept free then */
#define RESERVE			Max(pm_max_applications / 8, 1)

#define ACCOUNT(i)	(&pm_accounts->all[i])
#define KEY(i)		(&pm_accounts->keys[i])

/* An application that may be given up. */
typedef struct Candidate
{
	int			account;
	uint32		incarnation;
	int			worth;			/* in the order above: 0, 1, 2 */
	uint64		role;			/* hash of its name */
	int			crowd;			/* candidates of that */
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
	if (left->crowd != right->crowd)
		return right->crowd - left->crowd;
	if (left->last_used != right->last_used)
		return left->last_used < right->last_used ? -1 : 1;
	return left->sessions < right->sessions ? -1 : left->sessions > right->sessions;
}

static int
compare_roles(const void *a, const void *b)
{
	const Candidate *left = a;
	const Candidate *right = b;

	return left->role < right->role ? -1 : left->role > right->role;
}

static void
count_crowds(Candidate *candidates, int n)
{
	int			first = 0;

	qsort(candidates, n, sizeof(Candidate), compare_roles);
	for (int i = 1; i <= n; i++)
	{
		if (i < n && candidates[i].role == candidates[first].role)
			continue;
		for (int j = first; j < i; j++)
			candidates[j].crowd = i - first;
		first = i;
	}
}

static Candidate
see_candidate(int i, uint32 incarnation)
{
	PmAccount  *a = ACCOUNT(i);
	Candidate	c = {.account = i,.incarnation = incarnation,.role = pm_owner_role_hash(&a->owner)};

	c.last_used = pg_atomic_read_u64(&a->last_used);
	c.sessions = pm_account_sessions(i);
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
	count_crowds(candidates, n);
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

	LWLockAcquire(&pm_accounts->lock.lock, LW_EXCLUSIVE);
	for (int i = 0; i < n && freed < PM_FREED_AT_ONCE; i++)
	{
		Candidate  *c = &candidates[i];

		if (nfree + freed >= (c->worth == 0 ? Max(wanted, wanted_for_failed) : wanted))
			break;
		if (pm_place_free(c->account, c->incarnation, PM_PLACE_READY))
			freed++;
	}
	LWLockRelease(&pm_accounts->lock.lock);
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
	uint32		wanted = pg_atomic_exchange_u32(&pm_accounts->no_place, 0);
	int			for_failed = 0;
	int			for_all = 0;
	int			nfree;

	if ((wanted & PM_NO_PLACE_ADMITTED) != 0)
		pm_accounts->crowded_until = now_ms + CROWDED_TIME;
	if ((wanted & PM_NO_PLACE_FAILED) != 0)
		for_failed = Min(pm_max_applications / 2 + RESERVE, pm_max_applications);
	if (now_ms < pm_accounts->crowded_until)
		for_all = RESERVE;
	else
		pm_accounts->applications_full = false;
	if (for_failed == 0 && for_all == 0)
		return false;

	nfree = count_free(held);
	if (nfree < Max(for_failed, for_all))
		give_up(nfree, for_all, for_failed);
	return (wanted & PM_NO_PLACE_ADMITTED) != 0;
}
