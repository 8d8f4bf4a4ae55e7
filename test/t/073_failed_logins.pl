# Logins that come to nothing, many at a time: an event with role, database and address
# of the first, and one of the whole; advice; and the minutes of history. A few are
# somebody's mistake, and no event. Needs clients that fail in different ways.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node =
  new_server('failed', "listen_addresses = '127.0.0.1'\npool_monitor.recycle_interval = 1h\n");
query($node, 'CREATE ROLE app LOGIN');
query($node, "CREATE ROLE $_ LOGIN PASSWORD 'right'") foreach 'one', 'two';
declare($node, join '', map { insert_pool($_) } 'few', 'many', 'after');
my $hba = $node->data_dir . '/pg_hba.conf';
my $was = slurp_file($hba);
open my $file, '>', $hba or die "$hba: $!\n";
print {$file} "local all one,two scram-sha-256\nhost all one,two all scram-sha-256\n$was";
close $file;
$node->reload;

sub fail_to_log_in
{
	my ($name, $dsn, $message) = @_;
	my ($out, $err) = run_command(
		[
			'psql', '-X', '-c', 'SELECT 1', '-d',
			$node->connstr('postgres') . " application_name='$name' $dsn"
		]
	);
	die "not refused so: $err\n" if $err !~ /$message/;
	return;
}

sub wrong_password { return fail_to_log_in(@_, 'password authentication failed') }
sub not_admitted   { return fail_to_log_in(@_, 'does not exist') }

sub events
{
	my ($columns, $where) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.events WHERE $where ORDER BY seq");
}

sub wait_for_event
{
	my ($where, $what) = @_;
	return wait_for($node, "SELECT count(*) FROM pool_monitor.events WHERE $where", $what, '1');
}

my $failed = "event IN ('auth_failures', 'rejected')";

# The server knows its new pg_hba.conf when this one is not let in.
my ($out, $err) = ('', '');
foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	($out, $err) = run_command(
		[
			'psql', '-Xc', 'SELECT 1', '-d',
			$node->connstr('postgres') . " user=two password=wrong application_name=after"
		]
	);
	last if $err ne '';
	select(undef, undef, undef, 0.1);
}
like($err, qr/password authentication failed/, 'a wrong password');

# Those that come first, and then no more, are counted before those that make an event;
# four are none.
subtest 'five failures are a burst: an event' => sub {
	wrong_password('few',  'user=one password=wrong') foreach 1 .. 4;
	wrong_password('many', 'user=two password=wrong host=127.0.0.1');
	wait_for(
		$node,
		"SELECT sum(auth_failures) FROM pool_monitor.history WHERE pool = 'many' AND resolution = '1 minute'",
		'the worker has seen the first',
		'1'
	);
	wrong_password('many', 'user=one password=wrong') foreach 2 .. 5;
	wait_for_event("event = 'auth_failures'", 'five are a burst');
	is(
		events('pool, pid IS NULL, detail', $failed),
		'many|t|{"datname": "postgres", "usename": "two", "client_addr": "127.0.0.1", "auth_failures": 5}',
		'with role, database and address of the first; four are none'
	);
};

# Of an application that is not declared.
subtest 'five that were authenticated, then not admitted, are one, too' => sub {
	not_admitted('wanderer', 'user=app dbname=nowhere');
	not_admitted('wanderer', 'user=app dbname=nowhere') foreach 2 .. 5;
	wait_for_event("event = 'rejected'", 'so are five that were not admitted');
	is(
		events('application_name, usename, datname, detail', "event = 'rejected'"),
		'wanderer|app|nowhere|{"datname": "nowhere", "usename": "app", "rejected": 5, "client_addr": null}',
		'of an application, by a Unix-domain socket'
	);
};

subtest 'a burst is over when no other has come for ten seconds' => sub {
	wait_for_event("event = 'auth_failures_over'",
		'it is over when no other has come for ten seconds');
	is(
		events(
			"pool, detail -> 'auth_failures', (detail ->> 'seconds')::float8 BETWEEN 0.1 AND 50",
			"event = 'auth_failures_over'"
		),
		'many|5|t',
		'and how many they were, for how long'
	);
	is(
		query(
			$node,
			"SELECT o.at - b.at >= interval '9.9 s' FROM pool_monitor.events b, pool_monitor.events o WHERE b.event = 'auth_failures' AND o.event = 'auth_failures_over'"
		),
		't',
		'not before'
	);
};

# The four long before it are no part of one.
subtest 'the next burst has a first of its own' => sub {
	wrong_password('many', 'user=one password=wrong') foreach 1 .. 5;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'auth_failures'",
		'another burst', '2'
	);
	is(
		events(
			"detail -> 'usename', detail -> 'client_addr'",
			"event = 'auth_failures' AND pool = 'many'"
		),
		qq{"two"|"127.0.0.1"\n"one"|null},
		'with a first of its own'
	);
};

subtest 'history and workload have what pool_stats has' => sub {
	foreach my $column ('auth_failures', 'rejected')
	{
		foreach my $from (
			"sum(h.$column) FROM pool_monitor.history h WHERE h.resolution = '1 minute'",
			"sum(h.$column) FROM pool_monitor.workload h WHERE h.span = 'hour'"
		  )
		{
			my ($where) = $from =~ /pool_monitor\.(\w+)/;
			wait_for(
				$node,
				"SELECT count(*) FROM pool_monitor.pool_stats s WHERE s.pool IN ('few', 'many', 'after') AND s.$column <> (SELECT $from AND h.pool = s.pool)",
				"$where: $column are those of pool_stats",
				'0'
			);
		}
	}
	is(
		query(
			$node,
			"SELECT pool, sum(auth_failures), sum(rejected) FROM pool_monitor.history WHERE resolution = '1 minute' AND pool IN ('few', 'many', '(undeclared)') GROUP BY pool ORDER BY pool COLLATE \"C\""
		),
		"(undeclared)|0|5\nfew|4|0\nmany|10|0",
		'to the one'
	);
};

subtest 'the advice says who it was' => sub {
	is(
		query(
			$node,
			"SELECT pool, finding FROM pool_monitor.advice WHERE topic = 'logins' ORDER BY pool"
		),
		"many|many logins of the pool were not authenticated\n|many logins of undeclared applications were authenticated, then not admitted",
		'advice has both'
	);
	like(
		query(
			$node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'logins' AND pool = 'many'"
		),
		qr/^10 in \S+ seen of the last day, bursts of five or more: 2, the last at .*: the first was of role "one" in database "postgres", from a Unix-domain socket$/,
		'with who it was'
	);
	like(
		query(
			$node,
			"SELECT evidence FROM pool_monitor.advice WHERE topic = 'logins' AND pool IS NULL"
		),
		qr/^5 in \S+ seen of the last day, bursts of five or more: 1, the last at .*; they called themselves "wanderer" of role "app" in database "nowhere"$/,
		'of an application, too'
	);
};

subtest 'what failed before the worker began is no part of a burst' => sub {
	my $old = query($node, 'SELECT worker FROM pool_monitor.health');
	query($node, "SELECT pg_terminate_backend($old)");
	wait_for($node, "SELECT worker <> $old FROM pool_monitor.health", 'another worker');
	my $now = query($node, 'SELECT clock_timestamp()');
	wait_for($node, "SELECT last_sample > '$now' FROM pool_monitor.health", 'which has looked');
	wrong_password('many', 'user=two password=wrong host=127.0.0.1') foreach 1 .. 5;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'auth_failures'",
		'one more burst', '3'
	);
	is(
		events("detail -> 'auth_failures', detail -> 'client_addr'", "event = 'auth_failures'"),
		qq{5|"127.0.0.1"\n5|null\n5|"127.0.0.1"},
		'with a first of its own'
	);
};

# Nobody hides behind a few of another's. The second is counted before there are so many.
subtest 'a burst that has grown tenfold is told of again, with who came since' => sub {
	wrong_password('few', 'user=one password=wrong') foreach 1 .. 5;
	wait_for_event("event = 'auth_failures' AND pool = 'few'", 'a few of one role');
	my $told = query($node,
		"SELECT detail -> 'auth_failures' FROM pool_monitor.events WHERE event = 'auth_failures' AND pool = 'few'"
	);
	wrong_password('few', 'user=two password=wrong') foreach 1 .. 9 * $told;
	wait_for_event("event = 'auth_failures' AND pool = 'few' AND detail -> 'grown' = 'true'",
		'ten times as many are told of again');
	is(
		events(
			"detail -> 'usename', (detail -> 'auth_failures')::int >= 10 * $told",
			"event = 'auth_failures' AND pool = 'few' AND detail ? 'grown'"
		),
		'"two"|t',
		'with the first since'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
