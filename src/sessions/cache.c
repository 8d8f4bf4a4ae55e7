/*
 * cache.c
 *		What this process has read of the sessions, kept for its next look.
 *
 * Most sessions do nothing between two looks. An entry of the status array says so
 * by its change count, so what was read of it, and what followed from that (its
 * class, with the pool), is kept beside the count at which it was read, and used
 * again as long as the entry has the same. Only even counts are kept: at an odd one
 * the entry is being written. A reader that finds the same count twice has nothing
 * else to read, so there is nothing to be torn.
 *
 * What a class says is right as long as the declarations are the same: when they
 * have changed, all is forgotten. So it is when there are more classes than sessions
 * can account for (names are the clients' to choose), and when nobody has looked for
 * two minutes, lest a count come around to the same number.
 *
 * A session's names of login are looked up in its slot when its entry is read for the
 * first time. The slot is claimed before that can be, and stays that session's as long
 * as the entry does, but for the last moments of its process.
 *
 * All of it is the process's own, without a lock: about 64 bytes for each entry that
 * was ever in use, and 400 for each class. It begins with the first look.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sessions/cache.h"
#include "utils/memutils.h"

/* us; a count comes around after 2^31 changes, and no process makes 15 in a us */
#define KEPT_FOR INT64CONST(120000000)

/* Of these most are the classes of sessions that are no more. */
#define MOST_CLASSES (1024 + 2 * MaxBackends)

/* No change count is this: they are ints. */
#define UNREAD PG_INT64_MAX

typedef struct Cache
{
	MemoryContext context;		/* of all that follows */
	void	   *memory;			/* in which sessions are, on cache lines */
	PmSession  *sessions;		/* by index in the status array */
	int			room;			/* of these */
	struct classes_hash *classes;	/* NULL: nothing is there */

	const PmRules *rules;		/* of the pass that has begun */
	uint64		generation;		/* of these, at which the classes were made */
	uint64		pass;
	int64		begun_at;		/* us, monotonic */
} Cache;

StaticAssertDecl(sizeof(PmSession) == 64, "a session is on one cache line");

static Cache cache;

/* An error on the way leaves it empty. */
static void
begin_anew(void)
{
	if (cache.context == NULL)
		cache.context = AllocSetContextCreate(TopMemoryContext, "pool_monitor sessions", ALLOCSET_DEFAULT_SIZES);
	cache.classes = NULL;
	cache.sessions = NULL;
	cache.memory = NULL;
	cache.room = 0;
	MemoryContextReset(cache.context);
	cache.classes = pm_classes_create(cache.context);
}

/*
 * Begins a pass, and ends the one before: its sessions and classes are not to be
 * looked at any more. Returns its number.
 */
uint64
pm_cache_begin(const PmRules *rules, int64 at)
{
	if (cache.classes == NULL || cache.generation != rules->generation ||
		pm_classes_count(cache.classes) > MOST_CLASSES || at - cache.begun_at > KEPT_FOR)
		begin_anew();
	cache.rules = rules;
	cache.generation = rules->generation;
	cache.begun_at = at;
	return ++cache.pass;
}

/* Makes room for an entry that is in use, and for those before it. */
static void
make_room(int index)
{
	int			room = Min(Max(Max(64, 2 * cache.room), index + 1), MaxBackends);
	void	   *memory = MemoryContextAlloc(cache.context, (room + 1) * sizeof(PmSession));
	PmSession  *sessions = (PmSession *) TYPEALIGN(sizeof(PmSession), memory);

	if (cache.room > 0)
	{
		memcpy(sessions, cache.sessions, cache.room * sizeof(PmSession));
		pfree(cache.memory);
	}
	for (int i = cache.room; i < room; i++)
	{
		memset(&sessions[i], 0, sizeof(PmSession));
		sessions[i].change_count = UNREAD;
		sessions[i].index = i;
	}
	cache.memory = memory;
	cache.sessions = sessions;
	cache.room = room;
}

/* Those that are kept, this index among them; how many there are goes to room. */
PmSession *
pm_cache_sessions(int index, int *room)
{
	if (index >= cache.room)
		make_room(index);
	*room = cache.room;
	return cache.sessions;
}

/*
 * As pm_class_find(). An error in there may leave a table that is half grown: then the
 * next pass finds none, and begins anew.
 */
PmClass *
pm_cache_class(PmClassKey *key, const PmSession *session)
{
	struct classes_hash *classes = cache.classes;
	PmClass    *class;

	cache.classes = NULL;
	class = pm_class_find(classes, cache.rules, key, session);
	cache.classes = classes;
	return class;
}
