/*
 * kinds.h
 *		The kinds of events: the one list. See events.h.
 *
 * PM_EVENT(id, name, repeats, of_session, of_status, sessionless)
 *
 *		repeats			it may come over and over, by what clients do, so it is put
 *						together, see PmStretch. Not so what somebody did who may do it,
 *						nor retirements, each of which has ended a session
 *		of_session		its detail says something of single sessions, logins or
 *						applications, which is not for everybody who may LISTEN. (An
 *						undeclared application's is not, whatever the kind)
 *		of_status		the server log has a line of it, also of those that were put
 *						together
 *		sessionless		whoever can reach the port can make it come, without a session,
 *						under any pool's name: all of these together get a part of the
 *						ring, see ring.c
 */
PM_EVENT(STARTED, "started", false, false, false, false)
PM_EVENT(STATISTICS_LOST, "statistics_lost", false, false, false, false)
PM_EVENT(STATISTICS_RESET, "statistics_reset", false, false, false, false)
PM_EVENT(DECLARATIONS_LOADED, "declarations_loaded", true, false, false, false)
PM_EVENT(APPLICATIONS_FULL, "applications_full", false, false, false, false)
PM_EVENT(CLOCK_SET_BACK, "clock_set_back", false, false, false, false)
PM_EVENT(OVER_BUDGET, "over_budget", true, false, true, false)
PM_EVENT(BACK_IN_BUDGET, "back_in_budget", true, false, true, false)
PM_EVENT(EXHAUSTED, "exhausted", true, false, true, false)
PM_EVENT(NO_LONGER_EXHAUSTED, "no_longer_exhausted", true, false, true, false)
PM_EVENT(STARVED, "starved", true, false, true, true)
PM_EVENT(NO_LONGER_STARVED, "no_longer_starved", true, false, true, true)
PM_EVENT(SERVER_FULL, "server_full", true, true, true, false)
PM_EVENT(SERVER_NO_LONGER_FULL, "server_no_longer_full", true, false, true, false)
PM_EVENT(SERVER_OVER_BUDGET, "server_over_budget", true, true, true, false)
PM_EVENT(SERVER_BACK_IN_BUDGET, "server_back_in_budget", true, false, true, false)
PM_EVENT(STORM, "storm", true, false, false, false)
PM_EVENT(STORM_OVER, "storm_over", true, false, false, false)
PM_EVENT(REFUSED, "refused", true, false, false, true)
PM_EVENT(REFUSED_OVER, "refused_over", true, false, false, true)
PM_EVENT(AUTH_FAILURES, "auth_failures", true, true, false, true)
PM_EVENT(AUTH_FAILURES_OVER, "auth_failures_over", true, false, false, true)
PM_EVENT(REJECTED, "rejected", true, true, false, true)
PM_EVENT(REJECTED_OVER, "rejected_over", true, false, false, true)
PM_EVENT(GUARDED, "guarded", true, false, false, false)
PM_EVENT(GUARDED_OVER, "guarded_over", true, false, false, false)
PM_EVENT(GUARD_DISARMED, "guard_disarmed", true, false, false, false)
PM_EVENT(GUARD_ARMED, "guard_armed", true, false, false, false)
PM_EVENT(LEAK_SUSPECT, "leak_suspect", true, true, false, false)
PM_EVENT(RETIREMENT_PAUSED, "retirement_paused", true, false, false, false)
PM_EVENT(RETIREMENT_RESUMED, "retirement_resumed", true, false, false, false)
PM_EVENT(RETIRED, "retired", false, true, false, false)
PM_EVENT(DECLINED, "declined", true, true, false, false)
PM_EVENT(CLOCK_STEP, "clock_step", true, false, false, false)
