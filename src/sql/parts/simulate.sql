--
-- Yesterday, with other sizes
--

CREATE FUNCTION pool_monitor.simulate(
	pool text, workers int DEFAULT NULL, pool_size int DEFAULT NULL, max_overflow int DEFAULT NULL,
	pool_timeout interval DEFAULT NULL, span interval DEFAULT '1 day', load float8 DEFAULT 1, seed bigint DEFAULT 0,
	OUT pool text, OUT processes int, OUT pool_size int, OUT max_overflow int, OUT pool_timeout interval,
	OUT seen interval, OUT checkouts_per_second float8, OUT hold_time float8, OUT dispersion float8,
	OUT arrivals bigint, OUT share_replayed float8,
	OUT wait_p50 float8, OUT wait_p50_low float8, OUT wait_p50_high float8,
	OUT wait_p95 float8, OUT wait_p95_low float8, OUT wait_p95_high float8,
	OUT wait_p99 float8, OUT wait_p99_low float8, OUT wait_p99_high float8,
	OUT longest_wait float8, OUT longest_wait_low float8, OUT longest_wait_high float8,
	OUT waiting float8, OUT waiting_low float8, OUT waiting_high float8,
	OUT timeouts float8, OUT timeouts_low float8, OUT timeouts_high float8,
	OUT timeout_share float8, OUT timeout_share_low float8, OUT timeout_share_high float8,
	OUT full_share float8, OUT full_share_low float8, OUT full_share_high float8,
	OUT exhausted_share float8, OUT exhausted_share_low float8, OUT exhausted_share_high float8,
	OUT throughput float8, OUT throughput_low float8, OUT throughput_high float8,
	OUT opened_per_hour float8, OUT opened_per_hour_low float8, OUT opened_per_hour_high float8,
	OUT connections float8, OUT connections_low float8, OUT connections_high float8,
	OUT measured_exhausted_share float8, OUT measured_opened_per_hour float8, OUT measured_connections float8,
	OUT reported_waiting float8, OUT reported_mean_wait float8, OUT reported_timeout_share float8,
	OUT calibration text, OUT quality text
) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_simulate_sql';
COMMENT ON FUNCTION pool_monitor.simulate(text, int, int, int, interval, interval, float8, bigint) IS
'What the pool did in the last span, up to the last whole minute (as far as minutes of history are kept), replayed with '
'other sizes; NULL: those that are declared. workers: on each declared server. load: so many times as many checkouts. The '
'same seed with the same past gives the same answer, and other sizes the same checkouts (but of callers). One row (none '
'where pool is NULL); *_low and *_high are a 95 % interval of the simulation''s own chance (Student''s t, 10 to 100 '
'replications), not of what the model leaves out. Each minute has its measured rate of transactions, taken for checkouts (or '
'for as many as clients report, see checkouts_per_second), but for what of it is chance by those around; and its measured '
'dispersion: bursts at random (Cox and Isham, Point Processes, 1980), as large and as long as makes the dispersion as the '
'worker would see it, the time above base and at the ceiling, and waits that clients report, like what was measured, each '
'checkout of a burst to any process or, where clients report, all to one; what that leaves open is in the intervals. Where '
'clients report most checkouts, and there are no bursts, but waits are shorter than at random, or checkouts come more '
'evenly, it is so many callers, each of which asks again some time after its answer (the machine repair problem), or each '
'process in turn, if that explains it, and calibration says which: with other sizes callers have another throughput, and '
'load is so many times as many of them. Holds are from the pool''s histogram of hold times since its reset, stretched to the '
'mean of the span; a checkout has as many as clients report, and a random time besides. Each process is a queue of its own, '
'first come first served, with a pool as SQLAlchemy''s QueuePool, and gets its checkouts by chance: all alike, or as those '
'that report have got theirs, where these differ by more than chance. processes: simulated. pool_timeout, max_overflow, '
'pool_size: likewise. seen: time that is replayed. checkouts_per_second, hold_time (seconds): as measured in it, of '
'transactions; where clients report checked_out_seconds that have half of its connections, of checkouts, as they say. '
'dispersion: variance by mean of those that begin in a tick, 1 is random, NULL not known, which is taken for 1. arrivals: '
'checkouts that were simulated, in all replications. share_replayed: of seen, in each replication: about 800000 checkouts, '
'every n-th minute where there are more, so that it takes seconds. wait_p50, wait_p95, wait_p99, longest_wait: seconds that '
'a checkout waits, one that gives up for pool_timeout; longest_wait is that of one replication, on average. waiting: share '
'of checkouts (0 to 1) that wait and get a connection. timeouts: checkouts that give up in seen, timeout_share: as share of '
'all. full_share: share of the time that a process is at its ceiling; exhausted_share: that all are at once. throughput: '
'checkouts a second that get a connection. opened_per_hour: connections that are opened, without those that replace recycled '
'ones. connections: open on average, base at least. measured_exhausted_share (NULL: unbounded), measured_opened_per_hour, '
'measured_connections: what was measured. reported_waiting, reported_mean_wait (seconds of each checkout that got a '
'connection), reported_timeout_share: as clients report; NULL: none does, or of fewer than 100 checkouts and of half of '
'those that were seen. These, and measured_exhausted_share, are of the span since the sizes are declared as they are. '
'Checkouts that are reported to have timed out are added to the load. calibration: the sizes that are declared, simulated, '
'beside that: good (its interval comes within 20 %, or 5 ms, or 1 % of the time), off (also where clients report other sizes '
'than are declared), unknown, or lower bound: no client reports, and the pool was at its ceiling, where the server does not '
'see what waits, or has bursts that would wait longer if each came to one process, which it does not see. quality: good, or '
'not enough data: fewer than 30 effective samples, as in workload. NULL in all columns but the sizes where nothing was '
'measured at all: calibration says what is missing. Needs shared_preload_libraries, and pg_read_all_stats.';

CREATE FUNCTION pool_monitor.waits_simulated(
	pool text, span interval, pool_size int, max_overflow int,
	OUT waiting float8, OUT timeouts float8, OUT proposed_waiting float8, OUT proposed_timeouts float8
) RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 1
	AS 'MODULE_PATHNAME', 'pm_waits_simulated';
COMMENT ON FUNCTION pool_monitor.waits_simulated(text, interval, int, int) IS
'For the advice: what shares of the checkouts wait and time out, with the sizes that are declared and with these, in a brief '
'simulation of the last span. No row where Erlang''s formulas are not '
'known to be wrong: by a factor of 3, by measured bursts, reported waits or the time at the ceiling; nor where the simulation is, too. '
'Needs shared_preload_libraries, and pg_read_all_stats.';
