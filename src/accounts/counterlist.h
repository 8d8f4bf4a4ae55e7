/*
 * counterlist.h
 *		What is counted in each account: the one list. See counters.h.
 *
 * PM_COUNTER(id, name, end, kept): the name is that of the column of pool_stats, which
 * come in this order, and that in files of statistics; end: how a session has ended, in
 * the words of the log, NULL: it is no end; kept: as what the history keeps it besides
 * (all ends are one there), PM_KEPT_NOTHING: not at all.
 *
 * The ends come after the begins: who reads all of them from the last one on sees a
 * session in between as there rather than not yet.
 */
PM_COUNTER(CONNECTS, "connects", NULL, PM_KEPT_CONNECTS)
/* alive from another account, and to another */
PM_COUNTER(TAKEN_OVER, "taken_over", NULL, PM_KEPT_NOTHING)
PM_COUNTER(GIVEN_OVER, "given_over", NULL, PM_KEPT_NOTHING)
PM_COUNTER(ENDED_CLIENT, "ended_client", "by the client", PM_KEPT_NOTHING)
PM_COUNTER(ENDED_ABANDONED, "ended_abandoned", "abandoned by the client", PM_KEPT_NOTHING)
PM_COUNTER(ENDED_FATAL, "ended_fatal", "by an error", PM_KEPT_NOTHING)
/* of the server, for idle sessions and transactions */
PM_COUNTER(ENDED_TIMEOUT, "ended_timeout", "by a time-out", PM_KEPT_NOTHING)
/* by an administrator, or the shutdown */
PM_COUNTER(ENDED_KILLED, "ended_killed", "terminated", PM_KEPT_NOTHING)
PM_COUNTER(RETIRED, "retired", "retired", PM_KEPT_RETIRED)
/* of them, used when they were over age and margin already */
PM_COUNTER(RETIRED_LATE, "retired_late", NULL, PM_KEPT_NOTHING)
/* by a crash: when and how is not known */
PM_COUNTER(ENDED_LOST, "ended_lost", "lost", PM_KEPT_NOTHING)
/* asked to retire, and did not */
PM_COUNTER(DECLINED, "declined", NULL, PM_KEPT_NOTHING)
/* authenticated, then not admitted */
PM_COUNTER(REJECTED, "rejected", NULL, PM_KEPT_REJECTED)
/* no slot was free */
PM_COUNTER(REFUSED, "refused", NULL, PM_KEPT_REFUSED)
PM_COUNTER(AUTH_FAILURES, "auth_failures", NULL, PM_KEPT_AUTH_FAILURES)
PM_COUNTER(TRANSACTIONS, "transactions", NULL, PM_KEPT_TRANSACTIONS)
/* as clients' own pools report them; waited_us is waited_seconds in pool_stats */
PM_COUNTER(CHECKOUTS, "checkouts", NULL, PM_KEPT_CHECKOUTS)
PM_COUNTER(CHECKOUT_WAITS, "checkout_waits", NULL, PM_KEPT_CHECKOUT_WAITS)
PM_COUNTER(WAITED_US, "waited_us", NULL, PM_KEPT_WAITED_US)
PM_COUNTER(CHECKOUT_TIMEOUTS, "checkout_timeouts", NULL, PM_KEPT_CHECKOUT_TIMEOUTS)
/* of a declared pool, as sampled; in pool_stats it is starved_seconds */
PM_COUNTER(STARVED_MS, "starved_ms", NULL, PM_KEPT_NOTHING)
