/*
 * taker.c
 *		What a library does to a backend that takes SIGUSR2 for itself: SQL functions
 *		for a test.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(unhandle);
PG_FUNCTION_INFO_V1(take);
PG_FUNCTION_INFO_V1(to_a_thread);

static void
nothing(int signo)
{
}

static void *
sleeper(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* Puts the default action back. */
Datum
unhandle(PG_FUNCTION_ARGS)
{
	signal(SIGUSR2, SIG_DFL);
	PG_RETURN_VOID();
}

/* Installs a handler of its own. */
Datum
take(PG_FUNCTION_ARGS)
{
	signal(SIGUSR2, nothing);
	PG_RETURN_VOID();
}

/* Has a second thread handle the signal, because the first one blocks it. */
Datum
to_a_thread(PG_FUNCTION_ARGS)
{
	pthread_t	thread;
	sigset_t	all;
	sigset_t	former;
	sigset_t	usr2;

	/* it takes this signal and none of the backend's others */
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &all, &former);
	pthread_create(&thread, NULL, sleeper, NULL);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	PG_RETURN_VOID();
}
