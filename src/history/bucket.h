/*
 * bucket.h
 *		What one series did in a stretch of time. Pure.
 */
#ifndef PM_BUCKET_H
#define PM_BUCKET_H

/* What a busy session waits for, as sampled; if for nothing, it runs. */
typedef enum PmWait
{
	PM_WAIT_CLIENT,				/* idle in transaction, too */
	PM_WAIT_LOCK,				/* of another transaction */
	PM_WAIT_IO,
	PM_WAIT_OTHER,
	PM_NUM_WAITS
} PmWait;

#define PM_WAIT_UNIT	10		/* ms; waits are kept in such, times sessions */

/* One pool in one stretch of time. Everything is of the time that was seen. */
typedef struct PmBucket
{
	double		connections;	/* us that connections were open, in sum */
	double		busy;			/* us in transactions, in sum */
	double		waited;			/* us that checkouts waited, as reported */
	double		checked_out;	/* us that clients had connections, in sum */
	double		reported_open;	/* and that they say these were open */
	uint32		seen;			/* ms in which the worker was watching */
	int32		max_connections;
	int32		max_busy;
	uint32		connects;
	uint32		disconnects;
	uint32		refused;
	uint32		rejected;
	uint32		guarded;
	uint32		would_be_guarded;
	uint32		guarded_by_reserves;	/* of both */
	uint32		guarded_by_rate;
	uint32		auth_failures;
	uint32		retired;
	uint32		transactions;
	uint32		long_holds;		/* of them */
	uint32		overflow;		/* ms */
	uint32		exhausted;		/* ms */
	uint32		over;			/* ms */
	uint32		starved;		/* ms */
	uint32		waits[PM_NUM_WAITS];	/* PM_WAIT_UNITs, in sum */
	uint32		checkouts;		/* as clients' pools report them */
	uint32		checkout_waits;
	uint32		checkout_timeouts;
	uint32		timed_checkouts;	/* whose connections checked_out is of */
	uint32		ticks;			/* in which arrivals were counted */
	uint32		squares;		/* of arrivals in a tick by its seconds, in
								 * sum */
} PmBucket;

/* Where a pool was not declared yet there is nothing to say. */
static inline bool
pm_bucket_has_something(const PmBucket *bucket)
{
	return bucket->seen > 0 || bucket->connects > 0 || bucket->disconnects > 0 || bucket->refused > 0 ||
		bucket->rejected > 0 || bucket->auth_failures > 0 || bucket->guarded > 0 || bucket->would_be_guarded > 0 ||
		bucket->checkouts > 0 || bucket->checkout_timeouts > 0;
}

extern void pm_bucket_add(PmBucket *bucket, const PmBucket *news);

#endif							/* PM_BUCKET_H */
