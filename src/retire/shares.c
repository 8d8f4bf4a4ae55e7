/*
 * shares.c
 *		How many sessions each login role has in each pool that shrinks, or is to give way.
 *
 * Anybody may set any application_name, so what a pool has above its base may be a
 * stranger's. Therefore shrink_idle, and who asks for a place (yield.c), count for each
 * login role what that role has in the pool: whatever a stranger opens makes nobody else's sessions go. (A pool
 * that two roles share is left alone until one of them has more than base by
 * itself.) And a session that would not end itself if it were asked does not count,
 * or others were ended in its place: one that LISTENs, and one that has declined
 * for a reason that is likely to last. It is asked again itself as long as there
 * are more than base with it, so that one that has changed its mind is found out.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "retire/shares.h"
#include "sessions/scan.h"
#include "sessions/slot.h"

typedef struct ShareKey
{
	int			pool;
	Oid			role;
} ShareKey;

typedef struct Share
{
	ShareKey	key;
	int			sessions;
	int			pinned;			/* of these, that would stay */
	char		status;
} Share;

#define SH_PREFIX shares
#define SH_ELEMENT_TYPE Share
#define SH_KEY_TYPE ShareKey
#define SH_KEY key
#define SH_HASH_KEY(table, k) hash_combine(murmurhash32((uint32) (k).pool), murmurhash32((k).role))
#define SH_EQUAL(table, a, b) ((a).pool == (b).pool && (a).role == (b).role)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static bool
any_pool_shrinks(const PmRules *rules)
{
	for (int i = 0; i < rules->npools; i++)
	{
		if (rules->pools[i].shrink_idle)
			return true;
	}
	return false;
}

/*
 * Read without a lock, what the worker has written of a former owner of the slot
 * does not count; listening errs on the side of yes.
 */
static bool
would_stay(const PmSession *session)
{
	PmSlot	   *slot = &pm_slots->all[session->index];

	if (pg_atomic_read_u32(&slot->pid) == (uint32) session->pid && pg_atomic_read_u32(&slot->listening) != 0)
		return true;
	return slot->declined_start == session->backend_start && pm_reason_lasts(slot->declined_reason);
}

/*
 * One pass over the sessions of pools that shrink, if any does; or of all pools.
 * Allocates in the current context.
 */
void
pm_shares_count(PmTally *tally, bool all)
{
	PmScan		scan;
	const PmSession *session;

	if (!all && !any_pool_shrinks(tally->rules))
		return;
	tally->shares = shares_create(CurrentMemoryContext, 64, NULL);
	pm_scan_begin(&scan);
	while ((session = pm_scan_next(&scan)) != NULL)
	{
		const PmClass *class = session->class;
		ShareKey	key = {.pool = class->pool,.role = class->key.userid};
		bool		found;
		Share	   *share;

		if (class->pool < 0 || !(all || tally->rules->pools[class->pool].shrink_idle))
			continue;
		share = shares_insert(tally->shares, key, &found);
		if (!found)
			share->sessions = share->pinned = 0;
		share->sessions++;
		share->pinned += would_stay(session);
	}
}

/*
 * What counts, for this session, of its role's sessions in the pool; 0 where it was
 * not counted.
 */
int
pm_share(const PmTally *tally, int pool, const PmSession *session)
{
	ShareKey	key = {.pool = pool,.role = session->userid};
	Share	   *share = tally->shares != NULL ? shares_lookup(tally->shares, key) : NULL;

	if (share == NULL)
		return 0;
	return would_stay(session) ? share->sessions : share->sessions - share->pinned;
}
