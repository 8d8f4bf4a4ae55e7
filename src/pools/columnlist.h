/*
 * columnlist.h
 *		The columns of pool_monitor.pools that are read: the one list.
 *
 * PM_COLUMN(name, kind, field, null, part, range, least, most)
 *	kind: the type in SQL, that of the field, and the reader: see columns.c
 *	field: of PmDeclaration
 *	null: what a NULL means: REFUSED; ANY: it limits nothing; NONE: there is none, -1
 *	part: MATCHES: it says which sessions the row takes, or before which other rows;
 *		ACTS(when): the row may end sessions, or refuse logins, because of such a value; OTHER
 *	range: in words that follow the name, for the message
 *	least, most: of numbers and, in us, of intervals
 *
 * The ranges are those of the table's constraints, but for pool_recycle: what is less
 * than a second is no use to anybody but a test, and does no harm.
 *
 * They are read in this order. The name comes first: messages about the others have it.
 */
PM_COLUMN(name, NAME, pool.name, REFUSED, MATCHES,
		  "must be 1 to 63 printable ASCII characters but \" and \\, the first of them no parenthesis")
PM_COLUMN(priority, INTEGER, priority, REFUSED, MATCHES,
		  "must be between 0 and 1000000", 0, 1000000)
PM_COLUMN(application_name, ASCII_PATTERN, pool.application_name, ANY, MATCHES,
		  "must be at most 255 printable ASCII characters, and not end in a lone backslash")
PM_COLUMN(datname, PATTERN, pool.datname, ANY, MATCHES,
		  "must be at most 255 bytes, and not end in a lone backslash")
PM_COLUMN(usename, PATTERN, pool.usename, ANY, MATCHES,
		  "must be at most 255 bytes, and not end in a lone backslash")
PM_COLUMN(client_addr, NETWORK, pool.client_addr, ANY, MATCHES,
		  "must be a network of IPv4 or IPv6")
PM_COLUMN(servers, INTEGER, pool.servers, REFUSED, OTHER,
		  "must be between 1 and 10000", 1, 10000)
PM_COLUMN(workers, INTEGER, pool.workers, REFUSED, OTHER,
		  "must be between 1 and 10000", 1, 10000)
PM_COLUMN(pool_size, INTEGER, pool.pool_size, REFUSED, OTHER,
		  "must be between 0 (unbounded) and 100000", 0, 100000)
PM_COLUMN(max_overflow, INTEGER, pool.max_overflow, REFUSED, OTHER,
		  "must be between -1 (unbounded) and 100000", -1, 100000)
PM_COLUMN(surge, INTEGER, pool.surge, REFUSED, OTHER,
		  "must be between 0 and 1000", 0, 1000)
PM_COLUMN(pool_timeout, INTERVAL, pool.pool_timeout, REFUSED, OTHER,
		  "must be between 0 and 1 day", 0, USECS_PER_DAY)
PM_COLUMN(pool_recycle, INTERVAL, pool.pool_recycle, NONE, OTHER,
		  "must be NULL (never), or 1 ms to 365 days", 1000, 365 * USECS_PER_DAY)
PM_COLUMN(idle_limit, INTERVAL, pool.idle_limit, REFUSED, OTHER,
		  "must be between 1 second and 365 days", USECS_PER_SEC, 365 * USECS_PER_DAY)
PM_COLUMN(leak_threshold, INTERVAL, pool.leak_threshold, REFUSED, OTHER,
		  "must be between 1 second and 365 days", USECS_PER_SEC, 365 * USECS_PER_DAY)
PM_COLUMN(recycle_grace, INTERVAL, pool.recycle_grace, REFUSED, OTHER,
		  "must be between 0 and 1 day", 0, USECS_PER_DAY)
PM_COLUMN(budget, INTEGER, pool.budget, NONE, OTHER,
		  "must be NULL (the ceiling), or 1 to 262143", 1, PM_MOST_CONNECTIONS)
PM_COLUMN(recycle_mode, MODE, pool.recycle_mode, REFUSED, ACTS(pm_is_terminate),
		  "must be off, report or terminate")
PM_COLUMN(recycle_window, WINDOW, pool.recycle_window, ANY, OTHER,
		  "must be NULL, or as 22:00-06:00 Europe/Berlin")
PM_COLUMN(shrink_idle, BOOLEAN, pool.shrink_idle, REFUSED, ACTS(pm_is_true),
		  "must be true or false")
PM_COLUMN(guard, GUARD, pool.guard, REFUSED, ACTS(pm_is_enforce),
		  "must be off, report or enforce")
PM_COLUMN(reserved, INTEGER, pool.reserved, REFUSED, OTHER,
		  "must be between 0 and 262143", 0, PM_MOST_CONNECTIONS)
PM_COLUMN(connect_rate, INTEGER, pool.connect_rate, NONE, OTHER,
		  "must be NULL (any), or 1 to 100000 logins a second", 1, PM_MOST_CONNECT_RATE)
PM_COLUMN(connect_burst, INTEGER, pool.connect_burst, REFUSED, OTHER,
		  "must be between 1 and 100000", 1, PM_MOST_CONNECT_RATE)
PM_COLUMN(guard_superusers, BOOLEAN, pool.guard_superusers, REFUSED, OTHER,
		  "must be true or false")
PM_COLUMN(pre_ping, BOOLEAN, pool.pre_ping, REFUSED, OTHER,
		  "must be true or false")
PM_COLUMN(echo_pool, BOOLEAN, pool.echo, REFUSED, OTHER,
		  "must be true or false")
