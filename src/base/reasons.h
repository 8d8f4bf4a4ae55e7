/*
 * reasons.h
 *		Why a session is not retired: the one list. See reason.h.
 *
 * PM_REASON(id, text, lasts): the text is what the views show, and the comment on
 * pool_monitor.sessions.keep_reason; lasts: a session that declined so is likely to
 * decline again.
 */

/* what the asker finds out from outside, some of it the backend once more */
PM_REASON(NONE, NULL, false)
PM_REASON(NO_POOL, "in no declared pool", false)
PM_REASON(DISABLED, "pool_monitor.recycle_enabled is off", false)
PM_REASON(MODE_OFF, "recycle_mode is off", false)
PM_REASON(MODE_REPORT, "recycle_mode is report", false)
PM_REASON(LOADING, "changed declarations are not loaded", false)
PM_REASON(WINDOW, "outside recycle_window", false)
PM_REASON(PAUSED, "scheduled retirement pauses", false)
PM_REASON(LIMIT, "recycle_limit is used up", false)
PM_REASON(TURN, "waiting for its turn", false)
PM_REASON(NEVER, "pool_recycle is not set", false)
PM_REASON(NOT_OVER_AGE, "not over age", false)
PM_REASON(MARGIN, "over age by less than recycle_margin", false)
PM_REASON(STATE_UNKNOWN, "state unknown", false)
PM_REASON(BUSY, "busy", false)
PM_REASON(IN_TRANSACTION, "in a transaction", false)
PM_REASON(GRACE, "idle for less than recycle_grace", false)
PM_REASON(CALLER, "the calling session", false)
PM_REASON(SUPERUSER, "superuser", false)
PM_REASON(PROTECTED, "protected role", false)
PM_REASON(NO_SLOT, "beginning or ending", false)

/* the backend's own answers */
PM_REASON(OTHER_SESSION, "another session by now", false)
PM_REASON(LATE, "asked too long ago", false)
PM_REASON(NOT_WAITING, "not yet waiting for the client", false)
PM_REASON(MESSAGE, "message from the client waiting", false)
PM_REASON(UNREAD, "answers not read by the client", false)
PM_REASON(USED, "used meanwhile", false)
PM_REASON(SESSION_LOCK, "session-level lock", true)
PM_REASON(TEMP_SCHEMA, "temporary schema", true)
PM_REASON(LISTENING, "listening", true)
PM_REASON(BACKUP, "backup in progress", true)
PM_REASON(REPLICATION_SLOT, "temporary replication slot", true)
PM_REASON(REPLICATION_ORIGIN, "replication origin", true)
PM_REASON(HELD_CURSOR, "WITH HOLD cursor", true)
PM_REASON(ROLE_CHANGED, "its role was changed", true)

/* about the question */
PM_REASON(GONE, "ended meanwhile", false)
PM_REASON(ASKED_ALREADY, "being asked already", false)
PM_REASON(NO_HANDLER, "SIGUSR2 was taken over", true)
PM_REASON(NO_ANSWER, "no answer", true)
