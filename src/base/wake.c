/*
 * wake.c
 *		Waking the worker.
 */
#include "postgres.h"

#include "base/wake.h"
#include "port/atomics.h"

static pg_atomic_uint64 *worker_latch;	/* a Latch *, 0 while no worker runs */

static Size
wake_size(void)
{
	return sizeof(pg_atomic_uint64);
}

static void
attach_wake(void *memory)
{
	worker_latch = memory;
}

static void
init_wake(void)
{
	pg_atomic_init_u64(worker_latch, 0);
}

const PmSection pm_wake_section = {
	.name = "wake",
	.size = wake_size,
	.attach = attach_wake,
	.init = init_wake,
};

/* The worker's latch; NULL when it ends. */
void
pm_wake_me(Latch *latch)
{
	pg_atomic_write_u64(worker_latch, (uintptr_t) latch);
}

/* The worker's process; 0 when there is none. */
int
pm_worker_pid(void)
{
	const Latch *latch = (const Latch *) (uintptr_t) pg_atomic_read_u64(worker_latch);

	return latch != NULL ? latch->owner_pid : 0;
}

/* SetLatch on a latch whose worker is gone is harmless: PGPROCs stay. */
void
pm_wake_worker(void)
{
	Latch	   *latch = (Latch *) (uintptr_t) pg_atomic_read_u64(worker_latch);

	if (latch != NULL)
		SetLatch(latch);
}
