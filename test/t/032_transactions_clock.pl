# Transactions are counted to the one, and holds are as long as they were, also when
# the clock goes back, forward or stands still; and what the server does by itself is
# counted then as little as ever. Needs real clients, all protocols, and a clock of
# its own (libfaketime).
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT disturb query);
use PoolMonitorClock;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

# s, of the kernel's, and more on a busy machine: it is not known better when the clock was set
use constant TICK => 0.05;

plan skip_all => 'libfaketime is not installed' unless PoolMonitorClock::library();

my $clients      = 4;
my $transactions = 100;
my $clock        = PoolMonitorClock->new('clock', "pool_monitor.recycle_interval = 1h\n");
my $node         = $clock->node;

sub now { return clock_gettime(CLOCK_MONOTONIC) }

declare($node, <<EOS);
INSERT INTO pool_monitor.pools (name, application_name) VALUES ('web', 'web'), ('bench', 'bench');
CREATE PROCEDURE twice() LANGUAGE plpgsql AS 'BEGIN PERFORM 1; COMMIT; PERFORM 2; END';
EOS

sub script
{
	my ($name, $text) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
	append_to_file($file, "\\sleep 5 ms\n$text");
	return $file;
}

# What a run of the script has, with each protocol. In a block that fails pgbench
# gives up, so that is for another test.
my %scripts = (
	statement => [script('statement', "SELECT 1;\n"),                    1],
	block     => [script('block',     "BEGIN;\nSELECT 1;\nCOMMIT;\n"),   1],
	rollback  => [script('rollback',  "BEGIN;\nSELECT 1;\nROLLBACK;\n"), 1],
	procedure => [script('procedure', "CALL twice();\n"),                2],
	listener  => [script('listener',  "LISTEN here;\nNOTIFY here;\n"),   2],
);

# What pgbench prepares is a transaction, too: as many as before the clock was set.
my %prepares;

# Each script with each protocol; while it runs, the clock goes back by so many
# seconds: more than the rest of the run makes up for.

sub count_all
{
	my ($when, $back, @protocols) = @_;
	foreach my $protocol (@protocols)
	{
		foreach my $name (sort keys %scripts)
		{
			my ($file, $each) = @{$scripts{$name}};
			query($node, q(SELECT pool_monitor.reset('bench')));
			my $pgbench;
			{
				local $ENV{PGAPPNAME} = 'bench';
				$pgbench = IPC::Run::start(
					[
						'pgbench', '-n',          '-h', $node->host,
						'-p',      $node->port,   '-M', $protocol,
						'-f',      $file,         '-c', $clients,
						'-t',      $transactions, 'postgres'
					],
					'>',
					\my $out,
					'2>',
					\my $err
				);
			}
			wait_for(
				$node,
				"SELECT transactions >= 5 * $clients FROM pool_monitor.pool_stats WHERE pool = 'bench'",
				"$when: $name, $protocol: under way"
			);
			$clock->step(-$back) if $back;
			ok($pgbench->finish, "$when: $name, $protocol: done");
			wait_for(
				$node,
				"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'bench'",
				'pgbench has gone', '0'
			);
			my $n =
			  query($node, "SELECT transactions FROM pool_monitor.pool_stats WHERE pool = 'bench'");
			my $expected = $clients * $transactions * $each;
			if ($protocol eq 'prepared')
			{
				$prepares{$name} //= $n - $expected;
				$expected += $prepares{$name};
			}
			is($n, $expected, "$when: $name, $protocol: exact");
		}
	}
	return;
}

# Waits until the code has been true for so long as said, by the machine's clock.
sub wait_until
{
	my ($since, $seconds) = @_;
	sleep 0.05 while now() < $since + $seconds;
	return;
}

my $web   = PoolMonitor::Holder->new($node, application_name => 'web');
my $other = PoolMonitor::Holder->new($node, application_name => 'other');

# Begins anew, runs the code, and returns transactions, the longest hold, the
# shortest of the median's bucket, and the time that it all took.
sub account
{
	my ($code) = @_;
	query($node, q(SELECT pool_monitor.reset('web')));
	my $since = now();
	$code->();
	my $took = now() - $since;
	return (
		split(
			/\|/,
			query(
				$node,
				"SELECT transactions, coalesce(extract(epoch FROM hold_max), -1), busy_seconds FROM pool_monitor.pool_stats WHERE pool = 'web'"
			)
		),
		$took
	);
}

# A block, a failed one and a statement that waits, each for a second, with the
# clock set in the middle of it.
sub holds
{
	my ($when, $seconds) = @_;
	my ($n, $max, $busy, $took);
	my $since;
	my %code = (
		'a block' => sub {
			$web->do('sql 0 BEGIN');
			$since = now();
			$clock->step($seconds);
			wait_until($since, 1);
			$web->do('sql 0 COMMIT');
		},
		'a block that fails' => sub {
			$web->do('sql 0 BEGIN');
			$since = now();
			$web->do('sql 0 SELECT 1/0');
			$clock->step($seconds);
			wait_until($since, 1);
			$web->do('sql 0 ROLLBACK');
		},
		'a statement that waits' => sub {
			$other->do('sql 0 SELECT pg_advisory_lock(1)');
			print {$web->{in}} "sql 0 SELECT pg_advisory_xact_lock(1)\n";
			$web->{in}->flush;
			wait_for($node,
				"SELECT wait_event_type FROM pg_stat_activity WHERE application_name = 'web'",
				'it waits', 'Lock');
			$since = now();
			$clock->step($seconds);
			wait_until($since, 1);
			$other->do('sql 0 SELECT pg_advisory_unlock(1)');
			$web->answer;
		}
	);

	foreach my $what (sort keys %code)
	{
		($n, $max, $busy, $took) = account($code{$what});
		is($n, 1, "$when, $what: one transaction");
		cmp_ok($max, '>=',             1 - TICK,     "$when, $what: its hold is as long as it was");
		cmp_ok($max, '<=',             $took + TICK, "$when, $what: and no longer");
		cmp_ok(abs($busy - $max), '<', 0.01, "$when, $what: so is the time in transactions");
		$web->do('sql 0 SELECT 1');
		$clock->step(-$seconds);
		($n, $max, $busy, $took) = account(sub { $web->do('sql 0 SELECT 1') });
		is($n, 1, "$when, $what: and the next one after the clock was set between them");
		cmp_ok($max, '<', $took, "$when, $what: is short");
	}
	return;
}

subtest 'each transaction is counted once' => sub {
	count_all('at first', 0, 'prepared');
	cmp_ok($prepares{$_}, '<=', 3 * $clients, "$_: prepared once") foreach sort keys %prepares;
};

# An hour and a half back: the sessions and the server go by a clock that is behind
# what they have noted.
subtest 'what the server does by itself is no transaction, when the clock goes back' => sub {
	my $quiet = PoolMonitor::Holder->new($node, application_name => 'web', sessions => 3);
	$quiet->do('all SELECT 1');
	$quiet->do('sql 0 LISTEN here');
	$quiet->do('sql 1 CREATE TEMP TABLE mine (i int)');
	$clock->step(-5400);
	my ($n, $max, $busy) = account(
		sub {
			disturb($node);
			$quiet->close;
			wait_for(
				$node,
				"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'web'",
				'the quiet ones go', '1'
			);
		}
	);
	is("$n|$max|$busy", '0|-1|0',
		'the clock went back: what the server does in idle sessions is no transaction');
};

subtest 'each transaction is counted once, when the clock goes back' => sub {
	count_all('the clock goes back', 60, 'simple', 'extended', 'prepared');
};

subtest 'a hold is as long as it was, when the clock is set in it' => sub {
	$web->do('sql 0 SELECT 1');
	holds('two hours forward', 7200);
	holds('two hours back',    -7200);
};

# The last of them ends when the client has gone.
subtest 'each of several transactions in one message is counted' => sub {
	query($node, 'CREATE TABLE copied (i int)');
	my $copier = PoolMonitor::Holder->new($node, application_name => 'web');
	my ($n) = account(
		sub {
			print {$copier->{in}} "sql 0 BEGIN; COMMIT; COPY copied FROM STDIN\n";
			$copier->{in}->flush;
			wait_for(
				$node,
				"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' AND state = 'active' AND wait_event = 'ClientRead'",
				'COPY waits for its data',
				'1'
			);
			kill 'KILL', $copier->{pid};
			$copier->close;
			wait_for($node, "SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'web'",
				'it goes', '1');
		}
	);
	is($n, 2, 'two transactions of one message');
};

# Who listens may be undercounted then.
subtest 'each transaction is counted once, when the clock stands still' => sub {
	$clock->freeze;
	delete $scripts{listener};
	count_all('the clock stands still', 0, 'simple', 'extended', 'prepared');
	$clock->step(0);
};

$_->close foreach $web, $other;
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
$node->stop;
done_testing();
