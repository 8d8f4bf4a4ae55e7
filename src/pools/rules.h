/*
 * rules.h
 *		A compiled declaration, and the rules that connect it with what
 *		identifies a session. Pure: no lock, no allocation, no I/O, no error.
 */
#ifndef PM_RULES_H
#define PM_RULES_H

#include "base/guardmode.h"
#include "base/identity.h"

#define PM_PATTERN_LEN	256		/* a LIKE pattern with its terminating zero */
#define PM_ZONE_LEN		64		/* a time zone with its terminating zero */

typedef enum PmRecycleMode
{
	PM_RECYCLE_OFF,
	PM_RECYCLE_REPORT,
	PM_RECYCLE_TERMINATE
} PmRecycleMode;

/*
 * A daily stretch of time, from HH:MM to HH:MM in a time zone's local time, over
 * midnight when it ends before it begins. See schedule.c.
 */
typedef struct PmWindow
{
	bool		limited;		/* false: always, and the rest is unset */
	int			from;			/* seconds of the day */
	int			to;				/* 86400: the end of the day */
	char		zone[PM_ZONE_LEN];
} PmWindow;

/* A LIKE pattern. */
typedef struct PmPattern
{
	bool		limited;		/* false: any name, and the rest is zero */
	uint8		prefix;			/* bytes at its begin that stand for
								 * themselves */
	char		like[PM_PATTERN_LEN];
} PmPattern;

StaticAssertDecl(PM_PATTERN_LEN - 1 <= PG_UINT8_MAX, "a prefix does not fit");

typedef struct PmNetwork
{
	bool		limited;		/* false: from anywhere, and the rest is zero */
	PmAddr		addr;
	int			bits;
} PmNetwork;

/* One row of pool_monitor.pools. Times are in microseconds. */
typedef struct PmPool
{
	char		name[PM_NAME_LEN];
	PmPattern	application_name;
	PmPattern	datname;
	PmPattern	usename;
	PmNetwork	client_addr;
	int			servers;
	int			workers;		/* on each server */
	int			pool_size;		/* of each worker */
	int			max_overflow;	/* -1: unbounded */
	int			surge;			/* percent */
	int			base;
	int			ceiling;		/* -1: unbounded */
	int			surge_ceiling;	/* with the processes of a surge; likewise */
	int			budget_at_rest; /* explicit, else the ceiling; -1: none */
	int			budget;			/* explicit, else surge_ceiling; -1: none */
	bool		has_budget;		/* an explicit one */
	bool		grows_from_zero;	/* pool_size = 0: nothing is overflow */
	int64		pool_timeout;
	int64		pool_recycle;	/* -1: never */
	int64		idle_limit;
	int64		leak_threshold;
	int64		recycle_grace;
	PmRecycleMode recycle_mode;
	PmWindow	recycle_window;
	bool		shrink_idle;	/* retire what is idle over limit above base */
	PmGuardMode guard;
	int			reserved;		/* connections kept for it alone */
	int			connect_rate;	/* logins a second; -1: any */
	int			connect_burst;	/* logins at once that go by connect_rate */
	bool		guard_superusers;	/* superusers are not exempt */
	bool		pre_ping;		/* for the advice */
	bool		echo;			/* log its connects and disconnects */
} PmPool;

/* Ordered from good to bad: a pool has the worst that holds. */
typedef enum PmStatus
{
	PM_STATUS_OK,
	PM_STATUS_OVERFLOW,
	PM_STATUS_EXHAUSTED,
	PM_STATUS_OVER,
	PM_STATUS_STARVED
} PmStatus;

/*
 * What a pool can be, each for itself, and has a beginning and an end that are told. Of
 * the server: over its budget, and full (in the place of starved).
 */
typedef enum PmCondition
{
	PM_IS_EXHAUSTED,
	PM_IS_OVER,
	PM_IS_STARVED,
	PM_NUM_CONDITIONS
} PmCondition;

#define PM_IS_FULL	PM_IS_STARVED

typedef enum PmServerStatus
{
	PM_SERVER_OK,
	PM_SERVER_OVERCOMMITTED,
	PM_SERVER_OVER,
	PM_SERVER_FULL
} PmServerStatus;

/* What the status of a pool follows from, at one moment. */
typedef struct PmStanding
{
	int			connections;
	int			busy;
	bool		refused;		/* a login of it, lately, for want of a slot */
} PmStanding;

/* What the declarations add up to; -1 is unbounded. */
typedef struct PmDeclared
{
	int64		base;
	int64		ceiling;
	int64		budget;			/* at rest, and the largest single surge */
	int64		surged;			/* all surges at once */
} PmDeclared;

extern void pm_pattern_set(PmPattern *pattern, const char *like);
extern bool pm_like(const char *pattern, const char *string);
extern bool pm_network_has(const PmNetwork *network, const PmAddr *addr);
extern Size pm_leads_size(int npools);
extern uint8 pm_lead(const PmPool *pool);
extern int	pm_match(const PmPool *pools, const uint8 *leads, int from, int npools, const PmIdentity *who);
extern int	pm_overflow(const PmPool *pool, int connections);
extern bool pm_pool_is(const PmPool *pool, PmCondition condition, const PmStanding *standing);
extern PmStatus pm_pool_status(const PmPool *pool, const PmStanding *standing);

/* So many processes more run while a deployment overlaps. */
static inline int64
pm_surge_processes(const PmPool *pool)
{
	return ((int64) pool->servers * pool->workers * pool->surge + 99) / 100;
}

extern PmDeclared pm_declared(const PmPool *pools, int npools);
extern PmServerStatus pm_server_status(const PmDeclared *declared, int connection_budget, int connections, bool refused);
extern const char *pm_recycle_mode_name(PmRecycleMode mode);
extern const char *pm_status_name(PmStatus status);
extern const char *pm_server_status_name(PmServerStatus status);

#endif							/* PM_RULES_H */
