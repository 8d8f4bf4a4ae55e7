/*
 * keptlist.h
 *		What the history keeps of the counters, for each bucket: the one list. See
 *		counters.h.
 *
 * PM_KEPT(id, name): the name is that in files of statistics.
 */
PM_KEPT(CONNECTS, "connects")
/* of all kinds */
PM_KEPT(ENDS, "ends")
PM_KEPT(REFUSED, "refused")
PM_KEPT(REJECTED, "rejected")
PM_KEPT(GUARDED, "guarded")
PM_KEPT(WOULD_BE_GUARDED, "would_be_guarded")
PM_KEPT(GUARDED_BY_RESERVES, "guarded_by_reserves")
PM_KEPT(GUARDED_BY_RATE, "guarded_by_rate")
PM_KEPT(AUTH_FAILURES, "auth_failures")
PM_KEPT(RETIRED, "retired")
PM_KEPT(TRANSACTIONS, "transactions")
PM_KEPT(LONG_HOLDS, "long_holds")
/* as reported */
PM_KEPT(CHECKOUTS, "checkouts")
PM_KEPT(CHECKOUT_WAITS, "checkout_waits")
PM_KEPT(WAITED_US, "waited_us")
PM_KEPT(CHECKOUT_TIMEOUTS, "checkout_timeouts")
PM_KEPT(TIMED_CHECKOUTS, "timed_checkouts")
PM_KEPT(CHECKED_OUT_US, "checked_out_us")
PM_KEPT(REPORTED_OPEN_US, "reported_open_us")
