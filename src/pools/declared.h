/*
 * declared.h
 *		The declarations in force, in shared memory, and how their last load went.
 */
#ifndef PM_DECLARED_H
#define PM_DECLARED_H

#include "base/shmem.h"
#include "datatype/timestamp.h"
#include "pools/rules.h"
#include "port/atomics.h"

/*
 * A condition, from the sample that first saw it until it has been away for status_hold:
 * then it is over. Times are in us, as sampled; what the worker did not see is left out.
 */
typedef struct PmEpisode
{
	TimestampTz since;			/* 0: there is none */
	int64		held;			/* for so long it held */
	int64		seen;			/* of so long, up to when it last did */
	int64		away;			/* and so long ago that was */
} PmEpisode;

/* What the sampler remembers of a pool. */
typedef struct PmPoolState
{
	PmStatus	status;			/* the worst of which there is an episode;
								 * without any as it was last seen */
	TimestampTz status_since;	/* 0: not sampled yet */
	PmEpisode	episodes[PM_NUM_CONDITIONS];
} PmPoolState;

/* The same of the server. */
typedef struct PmServerState
{
	PmServerStatus status;
	TimestampTz status_since;
	PmEpisode	episodes[PM_NUM_CONDITIONS];
} PmServerState;

/* How the last load of the declarations ended. */
typedef enum PmLoadResult
{
	PM_LOAD_NEVER,
	PM_LOAD_OK,
	PM_LOAD_NO_DATABASE,
	PM_LOAD_NO_EXTENSION,
	PM_LOAD_NO_WORKER_SLOT,
	PM_LOAD_WRONG_OWNER,
	PM_LOAD_FAILED
} PmLoadResult;

#define PM_LOAD_MESSAGE_LEN 256

/* Declarations, in matching order, each with its account and lead; max_pools of all. */
typedef struct PmRuleSet
{
	int			npools;
	PmPool	   *pools;
	int		   *accounts;
	uint8	   *leads;			/* see pm_match() */
} PmRuleSet;

/*
 * What is not atomic is protected by pm_accounts->lock. But the set in force is read
 * without it, see assign.c, and does not change, but for the account that the worker
 * gives to a pool that had found no place: one aligned store.
 */
typedef struct PmDeclarations
{
	pg_atomic_uint64 generation;	/* moves when pools changes */
	pg_atomic_uint64 load_requested;	/* tickets for the loader */
	pg_atomic_uint32 rules_version; /* its parity: the set in force */

	uint64		load_done;		/* highest ticket dealt with */
	TimestampTz loaded_at;		/* the last good load; 0: none yet */
	PmLoadResult load_result;
	int			load_declared;	/* rows in the table at the last good load */
	Oid			load_database;	/* where the last good load read, or invalid */
	Oid			load_table;		/* and which table */
	char		load_message[PM_LOAD_MESSAGE_LEN];	/* when it failed */
	PmRuleSet	rule_sets[2];
	PmPoolState *states;		/* and as many again, for publish.c */
	PmServerState server;
} PmDeclarations;

extern PmDeclarations *pm_declarations;
extern const PmSection pm_declarations_section;

/* Caller holds lock. */
static inline PmRuleSet *
pm_rules_in_force(void)
{
	return &pm_declarations->rule_sets[pg_atomic_read_u32(&pm_declarations->rules_version) % 2];
}

/*
 * The declarations as this process last saw them. Valid until the next call
 * of pm_rules_current(); npools is 0 where the library was not preloaded.
 */
typedef struct PmRules
{
	uint64		generation;
	int			npools;
	bool		by_client_addr; /* does any pool ask for an address? */
	PmPool	   *pools;
	int		   *accounts;		/* of each pool */
	uint32	   *incarnations;	/* of these */
	uint8	   *leads;
} PmRules;

extern const PmRules *pm_rules_current(void);
extern bool pm_states_copy(const PmRules *rules, PmPoolState *states);

/*
 * Are the declarations in force at least those that were committed when this
 * ticket was the last one? If not, either a load is to come (PENDING) or the last
 * one failed, and nothing may be retired.
 */
typedef enum PmLoadState
{
	PM_DECLARATIONS_CURRENT,
	PM_DECLARATIONS_PENDING,
	PM_DECLARATIONS_FAILED
} PmLoadState;

extern PmLoadState pm_load_state(uint64 ticket);
extern const char *pm_load_hint(PmLoadResult result);
extern void pm_load_watch(Oid *database, Oid *table);
extern void pm_warn_if_never_loaded(void);
extern void pm_request_load(void);
extern void pm_load_result(uint64 ticket, PmLoadResult result, const char *message);

#endif							/* PM_DECLARED_H */
