/*
 * counterlist.h
 *		What is counted in each account: the one list. See counters.h.
 *
 * PM_COUNTER(id, name, end, kept, unit): the name is that in files of statistics and in
 * the log; the columns of pool_stats come in this order, and have it, too, unless there
 * is a unit: those show seconds, and are named so. end: how a session has ended, in the
 * words of the log, NULL: it is no end; kept: as what the history keeps it besides (all
 * ends are one there), PM_KEPT_NOTHING: not at all; unit: what one is, PM_ONE, PM_MS or
 * PM_US.
 *
 * The ends come after the begins: who reads all of them from the last one on sees a
 * session in between as there rather than not yet.
 */
PM_COUNTER(CONNECTS, "connects", NULL, PM_KEPT_CONNECTS, PM_ONE)
/* alive from another account, and to another */
PM_COUNTER(TAKEN_OVER, "taken_over", NULL, PM_KEPT_NOTHING, PM_ONE)
PM_COUNTER(GIVEN_OVER, "given_over", NULL, PM_KEPT_NOTHING, PM_ONE)
PM_COUNTER(ENDED_CLIENT, "ended_client", "by the client", PM_KEPT_NOTHING, PM_ONE)
PM_COUNTER(ENDED_ABANDONED, "ended_abandoned", "abandoned by the client", PM_KEPT_NOTHING, PM_ONE)
PM_COUNTER(ENDED_FATAL, "ended_fatal", "by an error", PM_KEPT_NOTHING, PM_ONE)
/* of the server, for idle sessions and transactions */
PM_COUNTER(ENDED_TIMEOUT, "ended_timeout", "by a time-out", PM_KEPT_NOTHING, PM_ONE)
/* by an administrator, or the shutdown */
PM_COUNTER(ENDED_KILLED, "ended_killed", "terminated", PM_KEPT_NOTHING, PM_ONE)
PM_COUNTER(RETIRED, "retired", "retired", PM_KEPT_RETIRED, PM_ONE)
/* of them, used when they were over age and margin already */
PM_COUNTER(RETIRED_LATE, "retired_late", NULL, PM_KEPT_NOTHING, PM_ONE)
/* by a crash: when and how is not known */
PM_COUNTER(ENDED_LOST, "ended_lost", "lost", PM_KEPT_NOTHING, PM_ONE)
/* asked to retire, and did not */
PM_COUNTER(DECLINED, "declined", NULL, PM_KEPT_NOTHING, PM_ONE)
/* authenticated, then not admitted */
PM_COUNTER(REJECTED, "rejected", NULL, PM_KEPT_REJECTED, PM_ONE)
/* no slot was free */
PM_COUNTER(REFUSED, "refused", NULL, PM_KEPT_REFUSED, PM_ONE)
/* the pool, or the part of the server that is anybody's, was full, or it was too fast */
PM_COUNTER(GUARDED, "guarded", NULL, PM_KEPT_GUARDED, PM_ONE)
/* admitted, as the guard reports only */
PM_COUNTER(WOULD_BE_GUARDED, "would_be_guarded", NULL, PM_KEPT_WOULD_BE_GUARDED, PM_ONE)
/* of both together, why: all was taken that other pools have not reserved, or it was too fast; else the limit */
PM_COUNTER(GUARDED_BY_RESERVES, "guarded_by_reserves", NULL, PM_KEPT_GUARDED_BY_RESERVES, PM_ONE)
PM_COUNTER(GUARDED_BY_RATE, "guarded_by_rate", NULL, PM_KEPT_GUARDED_BY_RATE, PM_ONE)
PM_COUNTER(AUTH_FAILURES, "auth_failures", NULL, PM_KEPT_AUTH_FAILURES, PM_ONE)
PM_COUNTER(TRANSACTIONS, "transactions", NULL, PM_KEPT_TRANSACTIONS, PM_ONE)
/* of them, PM_LONG_HOLD and more */
PM_COUNTER(LONG_HOLDS, "long_holds", NULL, PM_KEPT_LONG_HOLDS, PM_ONE)
/* as clients' own pools report them */
PM_COUNTER(CHECKOUTS, "checkouts", NULL, PM_KEPT_CHECKOUTS, PM_ONE)
PM_COUNTER(CHECKOUT_WAITS, "checkout_waits", NULL, PM_KEPT_CHECKOUT_WAITS, PM_ONE)
PM_COUNTER(WAITED_US, "waited_us", NULL, PM_KEPT_WAITED_US, PM_US)
PM_COUNTER(CHECKOUT_TIMEOUTS, "checkout_timeouts", NULL, PM_KEPT_CHECKOUT_TIMEOUTS, PM_ONE)
/* of checkouts, those of which it is known for how long they had their connection; and for how long */
PM_COUNTER(TIMED_CHECKOUTS, "timed_checkouts", NULL, PM_KEPT_TIMED_CHECKOUTS, PM_ONE)
PM_COUNTER(CHECKED_OUT_US, "checked_out_us", NULL, PM_KEPT_CHECKED_OUT_US, PM_US)
/* of the connections of these clients, as they say how many they have */
PM_COUNTER(REPORTED_OPEN_US, "reported_open_us", NULL, PM_KEPT_REPORTED_OPEN_US, PM_US)
/* of a declared pool, as sampled: each for itself, as the history has them */
PM_COUNTER(OVERFLOW_MS, "overflow_ms", NULL, PM_KEPT_NOTHING, PM_MS)
PM_COUNTER(EXHAUSTED_MS, "exhausted_ms", NULL, PM_KEPT_NOTHING, PM_MS)
PM_COUNTER(OVER_MS, "over_ms", NULL, PM_KEPT_NOTHING, PM_MS)
PM_COUNTER(STARVED_MS, "starved_ms", NULL, PM_KEPT_NOTHING, PM_MS)
/* likewise, but the history does not have it */
PM_COUNTER(RETIREMENT_PAUSED_MS, "retirement_paused_ms", NULL, PM_KEPT_NOTHING, PM_MS)
/* of connects, as events tell of them */
PM_COUNTER(STORMS, "storms", NULL, PM_KEPT_NOTHING, PM_ONE)
