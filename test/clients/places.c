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
#include "accounts/failed.h"
#include "accounts/places.h"
#include "base/guc.h"
#include "base/identity.h"
#include "places_server.h"

#define CHILDREN	6
#define NAMES		24
#define WAYS		3
#define TICK		700			/* ms of the fast clock */

typedef struct Common
{
	pg_atomic_uint32 over;
	pg_atomic_uint64 done[WAYS];	/* rejected, auth_failures, connects */
	pg_atomic_uint64 late;		/* the place had another owner by then */
	pg_atomic_uint64 astray;	/* counted under another name */
	pg_atomic_uint64 twins;		/* places of one name */
} Common;

static Common *common;
static const PmCounter ways[WAYS] = {PM_REJECTED, PM_AUTH_FAILURES, PM_CONNECTS};

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

static uint32
hash_of(const char *name)
{
	PmOwner		owner = owner_of(name);
	uint64		hash = pm_owner_hash(&owner, pm_accounts->seed);

	return (uint32) (hash ^ (hash >> 32));
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
		pm_account_count_failed(place, ways[way], &who);
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

/* Of a name that nobody had, so that the first one that it compares is its own. */
static pid_t
enter_until(Point point, const char *name)
{
	PmIdentity	who = {.application_name = name,.datname = name,.usename = name};
	int			status;
	pid_t		pid = fork();

	if (pid == 0)
	{
		stop_at = point;
		(void) pm_application_account(&who, true);
		_exit(0);
	}
	waitpid(pid, &status, WUNTRACED);
	if (!WIFSTOPPED(status))
		exit(2);
	return pid;
}

static void
go_on(pid_t pid)
{
	int			status;

	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
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

	if (!pm_account_ready(i))
		return;
	pg_read_barrier();
	if (!is_of(i, name) || pm_accounts->keys[i].hash != hash_of(name))
		pg_atomic_fetch_add_u64(&common->astray, 1);
	for (int way = 0; way < WAYS; way++)
	{
		if (way != way_of(name) && counter(i, ways[way]) != 0)
			pg_atomic_fetch_add_u64(&common->astray, 1);
	}
}

static uint64
word_of(int i)
{
	return pg_atomic_read_u64(&pm_accounts->keys[i].place);
}

/* Two places had the same owner at one moment, in which neither changed hands. */
static void
check_twins(int i, int j)
{
	uint32		one = PM_PLACE_INCARNATION(word_of(i));
	uint32		other = PM_PLACE_INCARNATION(word_of(j));
	bool		twins = pm_account_ready(i) && pm_account_ready(j);

	pg_memory_barrier();
	twins = twins && pm_owner_equal(&pm_accounts->all[i].owner, &pm_accounts->all[j].owner);
	pg_memory_barrier();
	if (twins && pm_account_ready(i) && pm_account_ready(j) &&
		PM_PLACE_INCARNATION(word_of(i)) == one && PM_PLACE_INCARNATION(word_of(j)) == other)
		pg_atomic_fetch_add_u64(&common->twins, 1);
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

/* Each owner has one place at most, and each place that has an owner is in the index. */
static int
check_index(void)
{
	int			wrong = 0;
	int			nfree = 0;

	for (int i = pm_first_application(); i < pm_other_account(); i++)
	{
		bool		ready = pm_account_ready(i);

		nfree += !ready;
		wrong += ready == (pm_accounts->keys[i].way == PM_WAY_NONE);
		for (int j = pm_first_application(); ready && j < i; j++)
			wrong += pm_account_ready(j) && is_of(j, pm_accounts->all[i].owner.name);
	}
	wrong += nfree != pg_atomic_read_u32(&pm_accounts->free_applications.n);
	while (pm_free_pop(&pm_accounts->free_applications, pm_accounts->next_free) >= 0)
		nfree--;
	wrong += nfree != 0;
	for (int i = 0; i <= pm_accounts->line_mask; i++)
	{
		for (int way = 0; way < PM_WAYS; way++)
		{
			int			place = (int) pg_atomic_read_u32(&pm_accounts->lines[i].ways[way]) - 1;

			wrong += place >= 0 && (!pm_account_ready(place) || pm_accounts->keys[place].way != way + 1);
		}
	}
	wrong += pg_atomic_read_u32(&pm_accounts->entering) != 0;
	return wrong;
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

static int
places_of(const char *name)
{
	int			n = 0;

	for (int i = pm_first_application(); i < pm_other_account(); i++)
		n += pm_account_ready(i) && is_of(i, name);
	return n;
}

/* Takes the first way of the line that the name is in. */
static void
take_first_way(const char *of)
{
	char		name[32];
	int			n = 0;

	do
		snprintf(name, sizeof(name), "first %d", n++);
	while (((hash_of(name) ^ hash_of(of)) & pm_accounts->line_mask) != 0);
	(void) pm_application_account(&(PmIdentity)
								  {
									  .application_name = name,.datname = name,.usename = name
								  }, true);
}

static void
free_all(void)
{
	for (int i = pm_first_application(); i < pm_other_account(); i++)
		(void) pm_account_close(i);
	pm_places_free_closed(TICK);
}

/*
 * Two enter a name, each of them before the other could know: once the second one has
 * looked at the way that the first one will be in before that was there. Returns how
 * many of such pairs did not make one place of it.
 */
static int
check_pairs(void)
{
	int			wrong = 0;
	pid_t		one = enter_until(WRITING, "one after another");
	pid_t		other = enter_until(WRITING, "one after another");

	go_on(one);
	go_on(other);
	wrong += places_of("one after another") != 1;
	free_all();

	one = enter_until(WRITING, "both at once");
	take_first_way("both at once");
	other = enter_until(LOOKING, "both at once");
	free_all();
	go_on(one);
	go_on(other);
	wrong += places_of("both at once") != 1;
	free_all();
	printf("wrong pairs %d, ", wrong);
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
	wrong = check_pairs();
	fflush(stdout);
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
			lost += PM_PLACE_STATE(word_of(i)) == PM_PLACE_LOST;
			for (int j = pm_first_application(); j < i; j++)
				check_twins(i, j);
		}
		if (random() % 5 == 0)
			(void) pm_account_close(pm_first_application() + random() % PLACES);
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
	/* what the last round has closed */
	pm_places_free_closed(tick * TICK);
	wrong += check_end() + check_index();
	printf("stops %lu, given up %u, lost %lu, late %lu, astray %lu, twins %lu, wrong %d\n",
		   (unsigned long) stops, pg_atomic_read_u32(&pm_accounts->given_up), (unsigned long) lost,
		   (unsigned long) pg_atomic_read_u64(&common->late),
		   (unsigned long) pg_atomic_read_u64(&common->astray),
		   (unsigned long) pg_atomic_read_u64(&common->twins), wrong);
	return wrong == 0 && pg_atomic_read_u64(&common->astray) == 0 && pg_atomic_read_u64(&common->twins) == 0 ? 0 : 1;
}
