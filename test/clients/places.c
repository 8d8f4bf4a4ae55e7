/*
 * places.c
 *		Races the places of applications (src/accounts) with
 *		processes that are stopped at the worst moments.
 *
 * usage: places SECONDS
 *
 * The real code, compiled together with this file; of the server there is only
 * what it calls. Children find applications and count in them, under more names
 * than there are places. They stop themselves between finding and counting, and
 * while they write a name; and the parent stops them anywhere. It does what the
 * worker does, with a clock of its own that goes fast, and lets a child go on when
 * its place has changed hands a few times.
 *
 * Each name is counted in one way only, so a count under another name shows. Ends
 * with a line of what happened, and with 0 if all counts are where they belong.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/places.h"
#include "base/guc.h"
#include "base/identity.h"
#include "utils/timestamp.h"

#define CHILDREN	6
#define NAMES		24
#define PLACES		8
#define WAYS		3
#define TICK		700			/* ms of the fast clock */

typedef struct Common
{
	pg_atomic_uint32 over;
	pg_atomic_uint64 done[WAYS];	/* rejected, auth_failures, connects */
	pg_atomic_uint64 late;		/* the place had another owner by then */
	pg_atomic_uint64 astray;	/* counted under another name */
} Common;

static Common *common;
static bool may_stop = false;	/* this is a child, in the code to be tested */
static const PmCounter ways[WAYS] = {PM_REJECTED, PM_AUTH_FAILURES, PM_CONNECTS};

/* ---- the server, as far as it is needed ---- */

int			pm_max_pools = 1;
int			pm_max_applications = PLACES;

static void
stop_now_and_then(int once_in)
{
	if (may_stop && random() % once_in == 0)
		raise(SIGSTOP);
}

/* Called before the name of a place that is taken is written. */
TimestampTz
GetCurrentTimestamp(void)
{
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

int
pm_tranche(void)
{
	return 0;
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

#undef printf
#undef snprintf
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

/* ---- the children ---- */

static int
way_of(const char *name)
{
	return atoi(name + 5) % WAYS;
}

/* One name in three: who finds it again has found all of them. */
static PmOwner
owner_of(const char *name)
{
	PmIdentity	who = {.application_name = name,.datname = name,.usename = name};

	return pm_owner_application(&who);
}

static bool
is_of(int account, const char *name)
{
	PmOwner		owner = owner_of(name);

	return pm_owner_equal(&pm_accounts->all[account].owner, &owner);
}

static void
check_name(int account, const PmPlace *place, const char *name)
{
	if (account == pm_other_account() && place->account != account)
		pg_atomic_fetch_add_u64(&common->late, 1);
	else if (account != pm_other_account() && !is_of(account, name))
		pg_atomic_fetch_add_u64(&common->astray, 1);
}

static void
use(const char *name)
{
	int			way = way_of(name);
	PmIdentity	who = {.application_name = name,.datname = name,.usename = name};
	PmPlace		place = pm_application_account(&who, true);

	stop_now_and_then(50);
	if (ways[way] == PM_CONNECTS)
	{
		int			account = pm_account_begin(place);

		check_name(account, &place, name);
		pm_account_end(account, PM_ENDED_CLIENT, 1);
	}
	else
		pm_account_count(place, ways[way]);
	pg_atomic_fetch_add_u64(&common->done[way], 1);
}

static void
be_a_child(int number)
{
	char		name[32];

	srandom(number);
	while (pg_atomic_read_u32(&common->over) == 0)
	{
		snprintf(name, sizeof(name), "name %ld", random() % NAMES);
		may_stop = true;
		use(name);
		may_stop = false;
	}
	_exit(0);
}

/* ---- the parent ---- */

static uint64
counter(int account, PmCounter which)
{
	return pg_atomic_read_u64(&pm_accounts->all[account].counters[which]);
}

/* It has its name's hash, and nothing but what that name is counted in. */
static void
check_account(int i)
{
	const char *name = pm_accounts->all[i].owner.name;
	PmOwner		owner;

	if (!pm_account_ready(i))
		return;
	pg_read_barrier();
	owner = owner_of(name);
	if (!is_of(i, name) || pm_accounts->keys[i].hash != (uint32) pm_owner_hash(&owner))
		pg_atomic_fetch_add_u64(&common->astray, 1);
	for (int way = 0; way < WAYS; way++)
	{
		if (way != way_of(name) && counter(i, ways[way]) != 0)
			pg_atomic_fetch_add_u64(&common->astray, 1);
	}
}

/* Lets those go on that have been stopped for long enough; counts stops. */
static void
let_go_on(const pid_t *pids, int64 *until, int64 tick, uint64 *stops)
{
	for (int i = 0; i < CHILDREN; i++)
	{
		int			status;

		if (until[i] == 0 && waitpid(pids[i], &status, WNOHANG | WUNTRACED) == pids[i])
		{
			if (!WIFSTOPPED(status))
			{
				printf("a child ended with status %d\n", status);
				exit(1);
			}
			(*stops)++;
			until[i] = tick + 1 + random() % 8;
		}
		if (until[i] != 0 && tick >= until[i])
		{
			until[i] = 0;
			kill(pids[i], SIGCONT);
		}
	}
}

/* Sessions in the histograms of all that the rows show. */
static uint64
lifetimes(void)
{
	uint64		sum = 0;

	for (int i = pm_first_application(); i <= pm_other_account(); i++)
	{
		uint64		counts[PM_BUCKETS];

		pm_account_read_times(i, PM_LIFETIMES, counts);
		for (int bucket = 0; bucket < PM_BUCKETS; bucket++)
			sum += counts[bucket];
	}
	return sum;
}

/* What every sum must be, and nobody holds anything. Returns what is wrong. */
static int
check_end(void)
{
	int			wrong = lifetimes() != pg_atomic_read_u64(&common->done[WAYS - 1]);

	for (int way = 0; way < WAYS; way++)
	{
		uint64		done = pg_atomic_read_u64(&common->done[way]);
		uint64		sum = 0;

		for (int i = pm_first_application(); i <= pm_other_account(); i++)
			sum += counter(i, ways[way]);
		wrong += sum != done;
		wrong += counter(pm_undeclared_account(), ways[way]) != done;
		wrong += counter(pm_server_account(), ways[way]) != done;
		printf("counted %lu of %lu, ", (unsigned long) sum, (unsigned long) done);
	}
	for (int i = 0; i < pm_num_accounts(); i++)
	{
		uint64		word = pg_atomic_read_u64(&pm_accounts->keys[i].place);
		PmPlaceState state = PM_PLACE_STATE(word);

		wrong += PM_PLACE_HOLDERS(word) != 0;
		wrong += state != PM_PLACE_FREE && state != PM_PLACE_READY;
		wrong += pg_atomic_read_u32(&pm_accounts->all[i].connections) != 0;
	}
	return wrong;
}

static void *
shared_memory(Size size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void
set_up(void)
{
	common = shared_memory(sizeof(Common));
	pm_accounts_section.attach(shared_memory(pm_accounts_section.size()));
	pm_accounts_section.init();
}

int
main(int argc, char **argv)
{
	pid_t		pids[CHILDREN];
	int64		until[CHILDREN] = {0};
	uint64		stops = 0;
	uint64		lost = 0;
	int64		tick;
	int			held;
	time_t		end = time(NULL) + atoi(argv[1]);
	int			wrong;

	set_up();
	for (int i = 0; i < CHILDREN; i++)
	{
		if ((pids[i] = fork()) == 0)
			be_a_child(i + 1);
	}
	for (tick = 1; time(NULL) < end; tick++)
	{
		(void) pm_accounts_make_room(tick * TICK, &held);
		pm_places_free_closed(tick * TICK);
		for (int i = pm_first_application(); i < pm_other_account(); i++)
		{
			check_account(i);
			lost += PM_PLACE_STATE(pg_atomic_read_u64(&pm_accounts->keys[i].place)) == PM_PLACE_LOST;
		}
		if (random() % 10 == 0)
			kill(pids[random() % CHILDREN], SIGSTOP);
		let_go_on(pids, until, tick, &stops);
	}
	pg_atomic_write_u32(&common->over, 1);
	for (int i = 0; i < CHILDREN; i++)
	{
		int			status;

		do
			kill(pids[i], SIGCONT);
		while (waitpid(pids[i], &status, WNOHANG) == 0);
	}
	wrong = check_end();
	printf("stops %lu, given up %u, lost %lu, late %lu, astray %lu, wrong %d\n",
		   (unsigned long) stops, pg_atomic_read_u32(&pm_accounts->given_up), (unsigned long) lost,
		   (unsigned long) pg_atomic_read_u64(&common->late),
		   (unsigned long) pg_atomic_read_u64(&common->astray), wrong);
	return wrong == 0 && pg_atomic_read_u64(&common->astray) == 0 ? 0 : 1;
}
