/*
 * ask.h
 *		Asking one session to end itself.
 */
#ifndef PM_ASK_H
#define PM_ASK_H

#include "base/identity.h"
#include "base/reason.h"
#include "pools/declared.h"
#include "sessions/session.h"
#include "sessions/tally.h"

/* Why it is asked. */
typedef enum PmRetireRule
{
	PM_RULE_STALE,				/* over pool_recycle and its margin */
	PM_RULE_IDLE,				/* over idle_limit, with shrink_idle */
	PM_RULE_GIVES_WAY			/* over idle_limit, and a login needs its
								 * place */
} PmRetireRule;

/* One session that is asked, and what came of it. */
typedef struct PmAsk
{
	PmSession	session;		/* without its class */
	char		application_name[NAMEDATALEN];
	int			pool;			/* index in the asker's rules */
	int			account;		/* the pool's */
	uint32		incarnation;	/* of that */
	char		pool_name[PM_NAME_LEN];
	PmRetireRule rule;
	int64		min_age;		/* us; pool_recycle and its margin, or -1: any */
	int64		min_idle;		/* us; the pool's recycle_grace or idle_limit */
	int64		begun_at;		/* us, monotonic, as in its slot; 0: none */
	int64		used_at;		/* likewise */
	int64		asked_at;		/* ms, monotonic */
	uint64		ticket;			/* 0: not asked */
	bool		answered;
	bool		retired;
	PmReason	reason;			/* where it was not retired */
} PmAsk;

extern void pm_ask_init(PmAsk *ask, const PmSession *session, int pool, const PmRules *rules,
						PmRetireRule rule);
extern void pm_ask(PmAsk *ask);
extern bool pm_ask_settled(PmAsk *ask);
extern void pm_ask_withdraw(PmAsk *ask);
extern bool pm_ask_was_declined(const PmAsk *ask);
extern void pm_ask_count_decline(const PmAsk *ask);
extern void pm_ask_count_late(const PmAsk *ask);
extern void pm_ask_log(const PmAsk *ask, int elevel);
extern void pm_asks_record(const PmAsk *const *asks, int n, bool declines, const char *by);
extern void pm_asks_record_more(const char *pool, int sessions, const char *by);
extern int64 pm_ask_age(const PmAsk *ask, TimestampTz now, int64 at);
extern int64 pm_ask_idle(const PmAsk *ask, TimestampTz now, int64 at);
extern int	pm_ask_compare_age(const void *a, const void *b);

#endif							/* PM_ASK_H */
