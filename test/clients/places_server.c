/*
 * places_server.c
 *		Of the server, what the code under test in places.c calls: it stops there.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/seats.h"
#include "base/guc.h"
#include "base/identity.h"
#include "places_server.h"
#include "utils/timestamp.h"

bool		may_stop = false;
Point		stop_at = NOWHERE;

int			pm_max_pools = 1;
int			pm_max_applications = PLACES;

void
stop_now_and_then(int once_in)
{
	if (may_stop && random() % once_in == 0)
		raise(SIGSTOP);
}

static void
reach(Point point)
{
	if (stop_at != point)
		return;
	stop_at = NOWHERE;
	raise(SIGSTOP);
}

/* Called before the name of a place that is taken is written. */
TimestampTz
GetCurrentTimestamp(void)
{
	reach(WRITING);
	stop_now_and_then(50);
	return 1;
}

/* Called between finding a place and counting in it. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	stop_now_and_then(200);
	return syscall(SYS_clock_gettime, clock, now);
}

/* Called between reading where a place may be and its state. */
extern bool __real_pm_owner_equal(const PmOwner *a, const PmOwner *b);
extern bool __wrap_pm_owner_equal(const PmOwner *a, const PmOwner *b);

bool
__wrap_pm_owner_equal(const PmOwner *a, const PmOwner *b)
{
	bool		equal;

	reach(LOOKING);
	stop_now_and_then(400);
	equal = __real_pm_owner_equal(a, b);
	stop_now_and_then(400);
	return equal;
}

/* Only the parent takes it. */
bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	return true;
}

void
LWLockRelease(LWLock *lock)
{
}

int
pm_usable_connections(void)
{
	return PLACES;
}

uint64
hash_bytes_extended(const unsigned char *bytes, int length, uint64 seed)
{
	uint64		hash = seed ^ UINT64CONST(14695981039346656037);

	for (int i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64CONST(1099511628211);
	return hash;
}

void
LWLockInitialize(LWLock *lock, int tranche)
{
}

/* Places are told apart without the guard's seats. */
void
pm_seat_forget(int seat)
{
}

int
pm_tranche(void)
{
	return 0;
}

bool
pg_strong_random(void *to, size_t length)
{
	memset(to, 42, length);
	return true;
}

void
appendStringInfo(StringInfo text, const char *format,...)
{
}

void *
palloc0(Size size)
{
	return calloc(1, size);
}

void *
palloc(Size size)
{
	return malloc(size);
}

void
pfree(void *pointer)
{
	free(pointer);
}

Size
add_size(Size one, Size other)
{
	return one + other;
}

Size
mul_size(Size one, Size other)
{
	return one * other;
}

#undef qsort
void
pg_qsort(void *base, size_t n, size_t size, int (*compare) (const void *, const void *))
{
	qsort(base, n, size, compare);
}

#if !HAVE_DECL_STRLCPY
size_t
strlcpy(char *to, const char *from, size_t size)
{
	size_t		length = strlen(from);

	memcpy(to, from, Min(length + 1, size));
	to[size - 1] = '\0';
	return length;
}
#endif
