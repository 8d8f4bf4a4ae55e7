/*
 * locks.c
 *		How long our LWLocks are held, for bench/locks.py.
 *
 * Linked into the library with -Wl,--wrap=LWLockAcquire -Wl,--wrap=LWLockRelease, so
 * that its calls come here first; the library's sources know nothing of it. Each process
 * remembers the longest hold of each kind of lock, and writes a line to the server's log
 * when there is a longer one: "pool_monitor lock NAME MODE us". The line comes after
 * the release. It is the process's own time that counts: who is put off by the system
 * while he holds a lock is put off wherever he is.
 */
#include "postgres.h"

#include <time.h>
#include <unistd.h>

#include "accounts/account.h"
#include "events/ring.h"
#include "history/history.h"
#include "sessions/slot.h"
#include "storage/lwlock.h"

typedef enum Kind
{
	ACCOUNTS,
	RINGS,
	EVENTS,
	ASK,
	SHEET,
	KINDS
} Kind;

static const char *const names[KINDS] = {"accounts", "rings", "events", "ask", "sheet"};

static int64 begun;				/* ns; no two are taken together */
static LWLockMode mode_of_it;
static int64 longest[KINDS][2];

extern bool __real_LWLockAcquire(LWLock *lock, LWLockMode mode);
extern void __real_LWLockRelease(LWLock *lock);
extern bool __wrap_LWLockAcquire(LWLock *lock, LWLockMode mode);
extern void __wrap_LWLockRelease(LWLock *lock);

static int64
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
}

static Kind
kind_of(const LWLock *lock)
{
	if (lock == &pm_accounts->lock.lock)
		return ACCOUNTS;
	if (lock == &pm_history_rings->lock)
		return RINGS;
	if (lock == &pm_event_ring->lock)
		return EVENTS;
	return lock == &pm_slots->ask_lock.lock ? ASK : SHEET;
}

bool
__wrap_LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	bool		got = __real_LWLockAcquire(lock, mode);

	mode_of_it = mode;
	begun = now_ns();
	return got;
}

void
__wrap_LWLockRelease(LWLock *lock)
{
	int64		held = now_ns() - begun;
	bool		shared = mode_of_it == LW_SHARED;
	Kind		kind = kind_of(lock);	/* all are attached by now */
	char		line[128];
	int			length;

	__real_LWLockRelease(lock);
	if (lock == AddinShmemInitLock || held <= longest[kind][shared])
		return;
	longest[kind][shared] = held;
	length = snprintf(line, sizeof(line), "pool_monitor lock %s %s %.1f us\n", names[kind],
					  shared ? "shared" : "exclusive", held / 1000.0);
	(void) !write(STDERR_FILENO, line, length);
}
