/*
 * logins.c
 *		Counts the logins that come to nothing, each once and in one counter.
 *
 *		refused			SQLSTATE 53300 because no slot was free. Not so a role's
 *						or a database's own CONNECTION LIMIT, which has the same
 *						SQLSTATE
 *		auth_failures	not authenticated: a wrong password, no line in
 *						pg_hba.conf, a malformed message, another protocol, no
 *						answer within authentication_timeout. Not so a client that
 *						goes away when it is asked for a password: psql does, to
 *						ask its user. Nor one that sends no whole start-up packet:
 *						of such a process the server logs nothing that could be
 *						counted
 *		guarded			authenticated, then held off by the guard: SQLSTATE 53300, too
 *		rejected		authenticated, then not admitted: a missing role or
 *						database, no CONNECT privilege, a CONNECTION LIMIT
 *
 * "sorry, too many clients already" is raised before the process has a PGPROC,
 * so what emit_log_hook does here uses atomics only: no lock, no allocation, no
 * error. The hook runs in every process that logs, also in some that have no
 * shared memory attached (any more), and is entered again by whatever logs
 * inside it, so it logs nothing. It is not called for messages that
 * log_min_messages keeps out of the server log: with log_min_messages = panic
 * no refusal is seen, and no line missing in pg_hba.conf, and a session that was lost or
 * timed out ends by an error.
 *
 * Walsenders have slots of their own. Of them only auth_failures are counted, or passwords
 * could be tried by their way unseen.
 */
#include "postgres.h"

#include <signal.h>

#include "accounts/account.h"
#include "accounts/failed.h"
#include "base/compat.h"
#include "base/identity.h"
#include "base/shmem.h"
#include "client/logins.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "pools/assign.h"
#include "replication/walsender.h"
#include "sessions/scan.h"
#include "storage/pg_shmem.h"
#include "utils/elog.h"
#include "utils/timeout.h"

PmLoginStage pm_login_stage = PM_LOGIN_NEW;

bool		pm_login_unlogged = false;

static bool failed = false;		/* this login was counted */
static bool lost_in_copy = false;
static int	fatal_sqlstate = 0; /* of the error that ends this process */
static emit_log_hook_type prev_emit_log_hook = NULL;

static bool
in_class(int sqlstate, int class)
{
	return sqlstate != 0 && ERRCODE_TO_CATEGORY(sqlstate) == class;
}

static bool
out_of_slots(const ErrorData *edata)
{
	return edata->sqlerrcode == ERRCODE_TOO_MANY_CONNECTIONS &&
		(edata->funcname == NULL ||
		 (strcmp(edata->funcname, "InitializeSessionUserId") != 0 &&
		  strcmp(edata->funcname, "CheckMyDatabase") != 0));
}

/* Cut as the server cuts names: this is how the pools' patterns see them. */
static const char *
cut_name(char *buffer, const char *name)
{
	if (name == NULL)
		return NULL;
	strlcpy(buffer, name, NAMEDATALEN);
	return buffer;
}

/* Who logs in, as the start-up packet says; into room for the names. */
void
pm_login_identity(PmIdentity *who, char names[3][NAMEDATALEN])
{
	memset(who, 0, sizeof(*who));
	who->application_name = cut_name(names[0], MyProcPort->application_name ? MyProcPort->application_name : "");
	who->datname = cut_name(names[1], MyProcPort->database_name);
	who->usename = cut_name(names[2], MyProcPort->user_name);
	pm_copy_address(&who->client_addr, &MyProcPort->raddr);
}

/* Counts this login, for the pool or application that it names. */
void
pm_login_count(PmCounter how)
{
	char		names[3][NAMEDATALEN];
	PmIdentity	who;
	bool		echo;
	sigset_t	all;
	sigset_t	before;

	pm_login_identity(&who, names);

	/*
	 * A login under way is ended by the handlers of SIGTERM and SIGALRM on
	 * the spot. It must not be with a place half taken, or held: see place.h.
	 */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pm_account_count_failed(pm_account_of(&who, false, &echo), how, &who);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* As one that has come to nothing, and why: once. */
void
pm_login_failed(PmCounter how)
{
	if (failed || !pm_preloaded || MyProcPort == NULL ||
		(am_walsender && how != PM_AUTH_FAILURES))
		return;
	failed = true;
	pm_login_count(how);
	if (how == PM_REFUSED)
		pm_account_weigh_refusal();
}

/*
 * The process ends, authenticated, before its session has begun. If an error is
 * why, and not the server's shutdown or the client's going away, then it was not
 * admitted.
 */
void
pm_login_ended(void)
{
	if (pgStatSessionEndCause == DISCONNECT_FATAL &&
		!in_class(fatal_sqlstate, ERRCODE_OPERATOR_INTERVENTION) &&
		!in_class(fatal_sqlstate, ERRCODE_CONNECTION_EXCEPTION))
		pm_login_failed(PM_REJECTED);
}

/* Does this process end because its client is gone? */
bool
pm_connection_was_lost(void)
{
	return fatal_sqlstate == ERRCODE_CONNECTION_FAILURE ||
		fatal_sqlstate == ERRCODE_CONNECTION_DOES_NOT_EXIST ||
		(fatal_sqlstate == ERRCODE_PROTOCOL_VIOLATION && lost_in_copy);
}

/* Does the server end this session because it was idle, or in a transaction, for long? */
bool
pm_session_timed_out(void)
{
	return fatal_sqlstate == ERRCODE_IDLE_SESSION_TIMEOUT ||
		fatal_sqlstate == ERRCODE_TRANSACTION_TIMEOUT ||
		fatal_sqlstate == ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
}

/*
 * Before it was authenticated: not when the server shuts down, which says the
 * same as a time-out.
 */
static bool
is_auth_failure(const ErrorData *edata)
{
	return in_class(edata->sqlerrcode, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION) ||
		in_class(edata->sqlerrcode, ERRCODE_CONNECTION_EXCEPTION) ||
		in_class(edata->sqlerrcode, ERRCODE_FEATURE_NOT_SUPPORTED) ||
		(edata->sqlerrcode == ERRCODE_QUERY_CANCELED && get_timeout_indicator(STATEMENT_TIMEOUT, false));
}

static void
note_fatal(const ErrorData *edata)
{
	/* an end of file in COPY is an error first, and fatal after it */
	if (edata->elevel == ERROR && edata->sqlerrcode == ERRCODE_CONNECTION_FAILURE)
		lost_in_copy = true;
	if (edata->elevel != FATAL || MyProcPort == NULL || UsedShmemSegAddr == NULL)
		return;
	fatal_sqlstate = edata->sqlerrcode;
	if (pm_login_stage == PM_LOGIN_BEGUN)
		return;
	if (out_of_slots(edata))
		pm_login_failed(PM_REFUSED);
	else if (pm_login_stage == PM_LOGIN_NEW && is_auth_failure(edata))
		pm_login_failed(PM_AUTH_FAILURES);
}

static void
on_log(ErrorData *edata)
{
	note_fatal(edata);
	if (pm_login_unlogged && edata->elevel == FATAL)
		edata->output_to_server = false;
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
}

void
pm_logins_install(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = on_log;
}
