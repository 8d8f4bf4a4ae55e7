/*
 * giveway.c
 *		Which series of an application gives way to an application that has none.
 *
 * One that is free, or one that weighs less than the newcomer is large.
 *
 * A session can change its name as often as it likes, and each name that it leaves weighs
 * what it had. So of those that weigh less, a newcomer takes one of
 *
 *	- the series of its own login role whose applications have no sessions; if there is none,
 *	- all series of its role, and those of roles that have more series than its own. But
 *	  while its role has one without sessions, however heavy, only those of its role.
 *
 * First of the role that has the most, there first one without sessions, then the lightest:
 * so many roles with one each that have gone take each other's, and not that of a role whose
 * only application is still there.
 *
 * So who moves all sessions from name to name loses his own series, and who leaves some
 * behind takes from a role only as long as that has more series than his.
 *
 * Refused logins anybody can send who reaches the port, under any name, and any role's. So
 * who never had a session pushes out its like alone, and gives way to each that had, before
 * anybody else does.
 *
 * All of this is the worker's.
 */
#include "postgres.h"

#include "accounts/account.h"
#include "history/giveway.h"

/* Who comes first, whatever its size. */
typedef enum Rank
{
	RANK_NOBODY,
	RANK_REFUSED,				/* never had a session */
	RANK_ADMITTED
} Rank;

/* Who has no series. */
typedef struct Newcomer
{
	Rank		rank;
	int			size;
	uint64		role;			/* hash of its name */
} Newcomer;

static Rank
rank_of(const PmSeries *series)
{
	if (!pm_series_used(series))
		return RANK_NOBODY;
	return series->admitted ? RANK_ADMITTED : RANK_REFUSED;
}

static bool
gives_way(const PmSeries *series, const Newcomer *newcomer)
{
	Rank		rank = rank_of(series);

	return rank != newcomer->rank ? rank < newcomer->rank : series->weight < newcomer->size;
}

static bool
has_no_sessions(const PmSeries *series)
{
	return series->account < 0 || pg_atomic_read_u32(&pm_accounts->all[series->account].connections) == 0;
}

/* How many series a role has, and of these without sessions. */
static int
count_of_role(uint64 role, int *unused)
{
	int			n = 0;

	*unused = 0;
	for (int s = pm_first_application_series(); s < pm_history_rings->nseries; s++)
	{
		if (pm_series_at(s)->role != role)
			continue;
		n++;
		*unused += has_no_sessions(pm_series_at(s));
	}
	return n;
}

/* Where one that never had a session is left, that goes, and roles do not matter. */
static bool
may_take(const Newcomer *newcomer, const PmSeries *series)
{
	int			unused;
	int			own;

	if (!gives_way(series, newcomer))
		return false;
	if (rank_of(series) != RANK_ADMITTED || series->role == newcomer->role)
		return true;
	own = count_of_role(newcomer->role, &unused);
	return unused == 0 && count_of_role(series->role, &unused) > own;
}

/* Of two that the newcomer may take. */
static bool
goes_first(const PmSeries *series, const PmSeries *other, uint64 role)
{
	int			ignored;
	int			of_role = count_of_role(series->role, &ignored);
	int			of_other = count_of_role(other->role, &ignored);
	bool		unused = has_no_sessions(series);
	bool		other_unused = has_no_sessions(other);
	bool		own_unused = unused && series->role == role;
	bool		other_own_unused = other_unused && other->role == role;

	if (rank_of(series) != rank_of(other))
		return rank_of(series) < rank_of(other);
	if (own_unused != other_own_unused)
		return own_unused;
	if (of_role != of_other)
		return of_role > of_other;
	return unused != other_unused ? unused : series->weight < other->weight;
}

/* -1: none gives way; or it has one, since a moment ago, and is followed from the next tick on. */
int
pm_series_giving_way(const PmOwner *owner, bool admitted, int size)
{
	const Newcomer newcomer = {
		.rank = admitted ? RANK_ADMITTED : RANK_REFUSED,
		.size = size,
		.role = pm_owner_role_hash(owner),
	};
	int			place = -1;

	for (int s = pm_first_application_series(); s < pm_history_rings->nseries; s++)
	{
		const PmSeries *series = pm_series_at(s);

		if (pm_series_used(series) && pm_owner_equal(&series->application, owner))
			return -1;
		if (may_take(&newcomer, series) &&
			(place < 0 || goes_first(series, pm_series_at(place), newcomer.role)))
			place = s;
	}
	return place;
}
