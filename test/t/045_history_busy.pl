# History of busy time: transactions of every kind, by the client's clock; time that was
# counted twice would show. Only TAP has clients that stay in transactions side by side.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorHistory;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = history_server('history_busy');
my @busy = qw(open failed retried savepoint sleep vacuum);
declare($node,
	'INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace) VALUES '
	  . join(', ', map { "('$_', '$_', 5, 0, '1 h', '0')" } @busy));
watch($node, 'vacuum', 0.2, 'the declared pools have a history');

# Each pool has four sessions, of which one is busy. What a sample that comes late may
# not see, and what the four do before and after, is within 5 % and 0.1 s.
my %client = map { $_ => holder($node, $_, sessions => 4) } @busy;
my %at;

query(
	$node,
	join(
		';',
		map {
			"CREATE TABLE v$_ AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 300) n; ALTER TABLE v$_ OWNER TO client"
		} 1 .. 6
	)
);
$client{vacuum}->do("sql 0 SET vacuum_cost_$_") foreach ('delay = 20', 'limit = 1');
my %before = map { $_ => sums($node, $_) } @busy;

# Runs statements, and notes when the time in the transaction began at the
# earliest and at the latest.
sub begin
{
	my ($name, @statements) = @_;
	my @answers;
	$at{$name} = [now()];
	push @answers,      $client{$name}->do("sql 0 $_") foreach @statements;
	push @{$at{$name}}, now();
	return $answers[-1];
}

sub finish
{
	my ($name, @statements) = @_;
	push @{$at{$name}}, now();
	$client{$name}->do("sql 0 $_") foreach @statements;
	push @{$at{$name}}, now();
	return;
}

subtest 'one of them is in a transaction, or in many' => sub {
	begin('open', 'BEGIN');
	is(begin('failed',  'BEGIN', 'SELECT 1/0'), 'error 22012', 'a transaction that failed');
	is(begin('retried', 'BEGIN', 'SELECT 1/0'), 'error 22012', 'and one that will be used again');
	begin('savepoint', 'BEGIN', 'SAVEPOINT s');
	$at{vacuum} = [now(), now()];
	print {$client{vacuum}->{in}} 'sql 0 VACUUM ' . join(', ', map { "v$_" } 1 .. 6) . "\n";
	$client{vacuum}->{in}->flush;
	$at{sleep} = [now(), now()];
	$client{sleep}->do("sql 0 $_")
	  foreach (
		'SELECT pg_sleep(0.3)',
		'BEGIN',
		'SELECT pg_sleep(0.4)',
		'SELECT pg_sleep(0.3)',
		'COMMIT'
	  );
	push @{$at{sleep}}, now(), now();
	watch($node, 'retried', 0.5, 'for one and a half seconds');
	is($client{retried}->do('sql 0 SELECT 1'),     'error 25P02', 'a further statement, in vain');
	is($client{savepoint}->do('sql 0 SELECT 1/0'), 'error 22012', 'a subtransaction that failed');
	is($client{vacuum}->answer,                    'ok',          'VACUUM of six tables');
	push @{$at{vacuum}}, now(), now();
	watch($node, 'retried', 1, 'and some more');
	finish('failed',    'ROLLBACK');
	finish('retried',   'ROLLBACK');
	finish('savepoint', 'ROLLBACK TO s', 'COMMIT');
	watch($node, 'vacuum', 0.3, 'all of it was sampled');
};

# The one that is still open has been so in all that was seen since.
subtest 'a transaction that goes on' => sub {
	my $open = sums($node, 'open');
	watch($node, 'open', 0.5, 'one transaction goes on');
	my $news = since($node, 'open', $open);
	between($news->{busy} / $news->{seen},
		0.95, 1.05, 'open: a transaction that is open all the time is 1 on average');
	finish('open', 'COMMIT');
	watch($node, 'open', 0.3, 'it is over');
};

subtest 'busy time is the time in transactions' => sub {
	foreach my $name (@busy)
	{
		my $news = since($node, $name, $before{$name});
		my ($first, $begun, $end, $last) = @{$at{$name}};
		my $tolerance = 0.05 * ($last - $first) + 0.1;
		between(
			$news->{busy},
			$end - $begun - $tolerance,
			$last - $first + $tolerance,
			"$name: avg_busy times seen is the time in transactions"
		);
		is(sums($node, $name)->{max_busy}, 1, "$name: one was busy at a time");
		note(
			sprintf '%s: %.3f s busy, %.3f to %.3f s held',
			$name, $news->{busy},
			$end - $begun,
			$last - $first
		);
	}
	is(
		query(
			$node,
			"SELECT transactions - 2 >= 6 FROM pool_monitor.pool_stats WHERE pool = 'vacuum'"
		),
		't',
		'the VACUUM was a transaction for each table at least'
	);
	$_->close foreach values %client;
	gone($node, $_) foreach @busy;
};

subtest 'sums' => sub {
	my $asker = holder($node, 'asker', user => $ENV{PGUSER} // getpwuid($<));
	agrees_with_stats($asker);
	$asker->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
