# Transactions and hold times: what a session writes down is what it did. Needs
# real sessions whose transactions fail, are left open, or are many in one
# statement.
use strict;
use warnings FATAL => 'all';
use PoolMonitor           qw(:DEFAULT query insert_pool holder disturb);
use PoolMonitorRetirement qw(setting);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('holds',
	"pool_monitor.recycle_interval = 1h\nlog_min_messages = warning\nmax_prepared_transactions = 5\nwal_level = replica\nmax_wal_senders = 1\n"
);
declare($node, insert_pool('web'));
my $web = holder($node, 'web');
my $pid = $web->do('pid 0');

# Has $web run the statements; the answer to the last one.
sub web
{
	my $answer;
	$answer = $web->do("sql 0 $_") foreach @_;
	return $answer;
}

sub begin_anew { return query($node, "SELECT pool_monitor.reset('web')") }

# What web has since then: transactions, seconds in them, longest and median hold, seconds
# since it began.
sub figures
{
	my $row = query($node, <<EOS);
SELECT transactions, busy_seconds,
	coalesce(extract(epoch FROM hold_max), -1), coalesce(extract(epoch FROM hold_p50), -1),
	extract(epoch FROM clock_timestamp() - stats_reset)
FROM pool_monitor.pool_stats WHERE pool = 'web'
EOS
	return split /\|/, $row;
}

# Waits until the session has been in its state for so long.
sub stay
{
	my ($pid, $state, $seconds) = @_;
	wait_for(
		$node,
		"SELECT state = '$state' AND clock_timestamp() - state_change > interval '$seconds s' FROM pg_stat_activity WHERE pid = $pid",
		"$state for $seconds s"
	);
	return;
}

# A median is off by 6.25 % at most, and less than the maximum by no more.
sub same
{
	my ($median, $max, $what) = @_;
	cmp_ok(abs($median - $max), '<=', 0.0625 * $max, "$what: the median of one is the maximum");
	return;
}

# Of the pool's sessions only $web is left.
sub is_alone
{
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'", 'gone', 1);
	return;
}

subtest 'one statement is one transaction' => sub {
	begin_anew();
	web('SELECT pg_sleep(0.25)');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'one statement, one transaction');
	cmp_ok($max,              '>=', 0.25,  'it held for as long as it took');
	cmp_ok($max,              '<=', $time, 'and not longer than it can have');
	cmp_ok(abs($busy - $max), '<',  0.005, 'the time of all is that of the one');
	same($median, $max, 'one statement');
};

subtest "a block is one, with the client's own time in it" => sub {
	begin_anew();
	web('BEGIN');
	stay($pid, 'idle in transaction', 0.3);
	web('COMMIT');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'a block is one transaction');
	cmp_ok($max, '>=', 0.3,   'it holds while it waits for the client');
	cmp_ok($max, '<=', $time, 'and not longer');
};

subtest 'a block that fails holds until its ROLLBACK' => sub {
	begin_anew();
	web('BEGIN');
	like(web('SELECT 1/0'), qr/error 22012/, 'an error');
	stay($pid, 'idle in transaction (aborted)', 0.3);
	web('SELECT 1');
	stay($pid, 'idle in transaction (aborted)', 0.3);
	web('ROLLBACK');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'a block that fails is one transaction');
	cmp_ok($max,              '>=', 0.6,   'it holds until its ROLLBACK');
	cmp_ok($max,              '<=', $time, 'and not longer');
	cmp_ok(abs($busy - $max), '<',  0.005, 'and is counted once');
	same($median, $max, 'a block that fails');
};

subtest 'one that fails in a subtransaction, and goes on' => sub {
	begin_anew();
	web('BEGIN', 'SAVEPOINT s');
	like(web('SELECT 1/0'), qr/error 22012/, 'an error');
	stay($pid, 'idle in transaction (aborted)', 0.2);
	web('ROLLBACK TO s');
	stay($pid, 'idle in transaction', 0.2);
	web('COMMIT');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'a subtransaction is none');
	cmp_ok($max,              '>=', 0.4,   'the whole block is held');
	cmp_ok(abs($busy - $max), '<',  0.005, 'and is counted once');
};

subtest 'one that fails in a subtransaction, and is rolled back as a whole' => sub {
	begin_anew();
	web('BEGIN', 'SAVEPOINT s');
	like(web('SELECT 1/0'), qr/error 22012/, 'an error');
	stay($pid, 'idle in transaction (aborted)', 0.3);
	web('ROLLBACK');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'rolled back from a subtransaction');
	cmp_ok($max,              '>=', 0.3,   'it held until then');
	cmp_ok(abs($busy - $max), '<',  0.005, 'and is counted once');
};

query($node,
	'CREATE TABLE t (i int PRIMARY KEY); CREATE TABLE r (i int REFERENCES t DEFERRABLE INITIALLY DEFERRED)'
);

subtest 'a COMMIT that fails ends it' => sub {
	begin_anew();
	web('BEGIN', 'INSERT INTO r VALUES (1)');
	like(web('COMMIT'), qr/error 23503/, 'an error');
	is(web('SELECT 1'), 1, 'and the next one');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 2, 'a COMMIT that fails ends one transaction');
	cmp_ok($busy, '<', $time, 'held once');
};

subtest 'several transactions of one statement, all of which claim to have begun with it' => sub {
	query($node, <<'EOS');
CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN i; END';
INSERT INTO t VALUES (1);
CREATE INDEX one ON t (slow(i));
CREATE INDEX two ON t (slow(i + 1));
EOS
	begin_anew();
	web('REINDEX TABLE CONCURRENTLY t');
	my ($n, $busy, $max, $median, $time) = figures();
	cmp_ok($n,    '>', 3,   'REINDEX CONCURRENTLY has several transactions');
	cmp_ok($busy, '>', 0.2, 'they take their time');
	cmp_ok($busy, '<', $time,
		'but one connection is not busy for longer than the time that passes');
};

subtest 'a procedure that commits' => sub {
	begin_anew();
	web('DO $$ BEGIN FOR i IN 1 .. 5 LOOP PERFORM pg_sleep(0.1); COMMIT; END LOOP; END $$');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 6, 'each COMMIT ends one');
	cmp_ok($busy,   '<', $time, 'held one after the other');
	cmp_ok($busy,   '>', 0.5,   'all of it');
	cmp_ok($median, '<', 0.25,  'each for itself');
};

subtest 'PREPARE TRANSACTION lets the connection go' => sub {
	begin_anew();
	web('BEGIN', 'INSERT INTO t VALUES (2)');
	is(web(q(PREPARE TRANSACTION 'p')), 'ok', 'prepared');
	my ($n) = figures();
	is($n, 1, 'PREPARE TRANSACTION ends one');
	web(q(ROLLBACK PREPARED 'p'));
};

# Whom commits wait for; there is no such standby.
sub wait_for_standby
{
	my ($names) = @_;
	setting($node, "synchronous_standby_names = '$names'");
	wait_for(
		$node,
		"SELECT current_setting('synchronous_standby_names')",
		"standby '$names'", $names
	);
	return;
}

subtest 'a commit that waits for a standby holds until it is over' => sub {
	wait_for_standby('nobody');
	begin_anew();
	my $writer = IPC::Run::start(
		[
			'psql', '-X', '-q', '-d', $node->connstr('postgres') . ' application_name=web',
			'-c',   'INSERT INTO t VALUES (3)'
		]
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND clock_timestamp() - xact_start > interval '0.5 s'",
		'it waits',
		'1'
	);
	wait_for_standby('');
	$writer->finish;
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'a commit that waited');
	cmp_ok($max, '>=', 0.5,   'holds until it is over');
	cmp_ok($max, '<=', $time, 'and not longer');
};

subtest 'what is open counts as busy, but is no transaction yet' => sub {
	begin_anew();
	web('BEGIN');
	stay($pid, 'idle in transaction', 0.4);
	my ($n, $busy, $max, $median, $time) = figures();
	is($n,   0,  'a transaction that is open has not ended');
	is($max, -1, 'so there is no hold');
	cmp_ok($busy, '>=', 0.4,   'but its time counts');
	cmp_ok($busy, '<=', $time, 'and no more');
};

subtest 'what was before reset() does not count, though it ends after it' => sub {
	begin_anew();
	web('COMMIT');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'it ends after a reset()');
	cmp_ok($max,  '>=', 0.4,   'its hold is all of it');
	cmp_ok($busy, '<=', $time, 'but only what came after it is the time since');
};

foreach my $how ('open', 'failed')
{
	subtest "a session that ends in a block, $how" => sub {
		my $leaver = holder($node, 'web');
		my $left   = $leaver->do('pid 0');
		begin_anew();
		$leaver->do('sql 0 BEGIN');
		$leaver->do('sql 0 SELECT 1/0') if $how eq 'failed';
		stay($left, $how eq 'failed' ? 'idle in transaction (aborted)' : 'idle in transaction',
			0.3);
		$leaver->close;
		is_alone();
		my ($n, $busy, $max, $median, $time) = figures();
		is($n, 1, 'it has ended a transaction');
		cmp_ok($max,              '>=', 0.3,   'with its hold');
		cmp_ok(abs($busy - $max), '<',  0.005, 'once');
	};
}

# What the server does by itself in an idle session is no transaction of it:
# catching up with others' invalidations, notifications, and at the end the
# dropping of temporary tables.
subtest 'what the server does by itself in idle sessions is no transaction' => sub {
	my $quiet = holder($node, 'web', sessions => 3);
	my $idle  = $quiet->do('pid 2');
	$quiet->do('sql 0 LISTEN here');
	$quiet->do('sql 1 CREATE TEMP TABLE mine (i int)');
	stay($quiet->do('pid 0'), 'idle', 0.3);
	begin_anew();
	disturb($node);
	stay($idle, 'idle', 0.5);
	$quiet->close;
	is_alone();
	my ($n, $busy) = figures();
	is($n,    0, 'none is counted');
	is($busy, 0, 'and keeps no connection busy');
};

subtest 'nor is a notification that comes while the session works' => sub {
	my $listener = holder($node, 'web');
	$listener->do('sql 0 LISTEN here');
	begin_anew();
	$listener->do("sql 0 NOTIFY here, '$_'") foreach 1 .. 10;
	my ($n) = figures();
	is($n, 10, 'what comes of NOTIFY is no transaction of the session that hears it');
	$listener->close;
	is_alone();
};

subtest 'AND CHAIN makes a transaction of each part' => sub {
	begin_anew();
	web('BEGIN', 'COMMIT AND CHAIN');
	stay($pid, 'idle in transaction', 0.2);
	web('SELECT 1/0');
	stay($pid, 'idle in transaction (aborted)', 0.2);
	web('ROLLBACK AND CHAIN');
	stay($pid, 'idle in transaction', 0.2);
	web('COMMIT');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 3, 'AND CHAIN makes a transaction of each part');
	cmp_ok($busy, '>=', 0.6,   'one after the other');
	cmp_ok($busy, '<=', $time, 'none twice');
	cmp_ok($max,  '>=', 0.4,   'a failed one until its ROLLBACK');
};

subtest 'a chain that was none begins no block' => sub {
	begin_anew();
	like(web('COMMIT AND CHAIN'), qr/error 25P01/, 'not outside a block');
	web('SELECT 1/0');
	stay($pid, 'idle', 0.3);
	web('BEGIN', 'COMMIT');
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 3, 'a chain that was none begins no block');
	cmp_ok($max, '<', 0.3, 'so the idle time after an error is no hold');
};

subtest 'a client that vanishes in COPY' => sub {
	my $copier = holder($node, 'web');
	my $pid    = $copier->do('pid 0');
	query($node, 'CREATE TABLE copied (i int)');
	begin_anew();
	print {$copier->{in}} "sql 0 COPY copied FROM STDIN\n";
	$copier->{in}->flush;
	wait_for(
		$node,
		"SELECT state = 'active' AND clock_timestamp() - query_start > interval '0.3 s' FROM pg_stat_activity WHERE pid = $pid AND query LIKE 'COPY%'",
		'COPY waits for its data'
	);
	kill 'KILL', $copier->{pid};
	$copier->close;
	is_alone();
	my ($n, $busy, $max, $median, $time) = figures();
	is($n, 1, 'a COPY whose client vanishes is a transaction');
	cmp_ok($max, '>=', 0.3, 'with its hold');
	is(query($node, "SELECT ended_abandoned FROM pool_monitor.pool_stats WHERE pool = 'web'"),
		1, 'and an abandoned session');
};

subtest 'percentiles, against what the statements say of themselves' => sub {
	my @took;
	begin_anew();
	foreach my $i (1 .. 60)
	{
		my $sleep = $i % 20 == 0 ? 0.12 : $i % 5 == 0 ? 0.04 : 0.004;
		push @took,
		  $web->do(
			"sql 0 SELECT extract(epoch FROM clock_timestamp() - statement_timestamp()) FROM pg_sleep($sleep)"
		  );
	}
	@took = sort { $a <=> $b } @took;
	my %rank = (hold_p50 => 30, hold_p95 => 57, hold_p99 => 60, hold_max => 60);
	foreach my $column (sort keys %rank)
	{
		my $real = $took[$rank{$column} - 1];
		my $told = query($node,
			"SELECT extract(epoch FROM $column) FROM pool_monitor.pool_stats WHERE pool = 'web'");

		# a statement ends a little after it has looked at the clock; its rank may
		# fall on a neighbour that took almost the same
		my $error = $column eq 'hold_max' ? 0 : 0.0625;
		cmp_ok($told, '>=', $real * (1 - $error), "$column: $told for $real, not too little");
		cmp_ok($told, '<=', $real * (1 + $error) + 0.005, "$column: not too much");
	}
};

subtest 'lifetimes of sessions' => sub {
	query($node, 'SELECT pool_monitor.reset()');
	my $short = holder($node, 'short');
	my $began = $short->do(
		'sql 0 SELECT extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()'
	);
	stay($short->do('pid 0'), 'idle', 0.5);
	my $before = query($node, 'SELECT extract(epoch FROM clock_timestamp())') - $began;
	$short->close;
	wait_for($node,
		"SELECT disconnects FROM pool_monitor.pool_stats WHERE application_name = 'short'",
		'it ends', 1);
	my $after = query($node, 'SELECT extract(epoch FROM clock_timestamp())') - $began;
	my ($p50, $p95, $longest) = split /\|/,
	  query($node,
		"SELECT extract(epoch FROM lifetime_p50), extract(epoch FROM lifetime_p95), extract(epoch FROM lifetime_max) FROM pool_monitor.pool_stats WHERE application_name = 'short'"
	  );
	cmp_ok($longest, '>=', $before, 'it lived as long as it was seen');
	cmp_ok($longest, '<=', $after,  'and no longer');
	same($p50, $longest, 'lifetime');
	same($p95, $longest, 'lifetime, 95 %');
};

subtest 'parallel workers count no transactions' => sub {
	web('CREATE TABLE big AS SELECT g FROM generate_series(1, 100000) g');
	web(
		map { "SET $_" } 'parallel_setup_cost = 0',
		'parallel_tuple_cost = 0',
		'min_parallel_table_scan_size = 0',
		'max_parallel_workers_per_gather = 2'
	);
	begin_anew();
	is(web('SELECT count(*) FROM big'), 100000, 'a parallel query');
	my ($n) = figures();
	is($n, 1, 'is one transaction');
};

$web->close;
done_testing();
