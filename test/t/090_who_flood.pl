# Which applications have a history of their own, of a server that is full: logins that are
# refused, under however many names, take it from nobody who had sessions. Only TAP has a
# server whose slots are all taken, clients that are turned away by hundreds, and a restart.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query holder holder_of insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

# slots of ordinary roles; and with two others the pairs have all places of the history
use constant {SLOTS => 57, PAIRS => 22};

my $node = new_server('flood', "max_connections = 60\npool_monitor.sample_interval = 200ms\n");
query($node, 'CREATE ROLE app LOGIN');

# so that what asks here is no application, also when two overlap
declare($node, insert_pool('tests', application_name => "'$ENV{PGAPPNAME}'"));

# Has all slots but those of superusers; and who finds sessions that have a new name.
my ($crowd, $looker);

sub begin
{
	$crowd  = holder_of('app', $node, 'first', sessions => SLOTS);
	$looker = holder($node, 'looker');
	return;
}

sub rename_session
{
	my ($n, $name) = @_;
	$crowd->do("sql $n SET application_name = '$name'");
	return;
}

sub look { $looker->do('sql 0 SELECT count(*) FROM pool_monitor.pool_stats'); return }

# Logins that are refused, under so many names, each for longer than a sample.
sub refused
{
	my ($name, $number) = @_;
	my ($out,  $err)    = run_command(
		[
			python(),    "$FindBin::RealBin/../clients/refused.py",
			$node->host, $node->port, 'app', $name, $number, 0.3
		]
	);
	like($out, qr/^[1-9]\d*$/, "$name: all are refused") or diag $err;
	return;
}

# The columns, of those that have a history.
sub followed
{
	my ($columns) = @_;
	return "SELECT $columns FROM pool_monitor.holders() WHERE application_name IS NOT NULL";
}

sub number_of { my ($name) = @_; return "count(*) FILTER (WHERE application_name LIKE '$name')" }

my $all = join ', ', map({ number_of($_) } 'first', 'real', 'pair%', 'made up %'), 'count(*)';
my $kept         = '1|1|' . PAIRS . '|0|24';
my $most_of_real = "max(max_connections) FILTER (WHERE application_name = 'real')";

subtest 'refused logins have what is free, and give it to each that has sessions' => sub {
	begin();
	refused('made up', 30);
	cmp_ok(query($node, followed(number_of('made up %'))),
		'>=', 15, 'made-up names have what is free');

	# Sessions 0 to 43 are pairs, 44 to 48 are real, 49 to 56 stay first.
	rename_session($_, 'pair' . int($_ / 2)) foreach 0 .. 2 * PAIRS - 1;
	rename_session($_, 'real')               foreach 2 * PAIRS .. 2 * PAIRS + 4;
	wait_for(
		$node,
		followed("$all, $most_of_real"),
		'and give it to each that has sessions', "$kept|5"
	);
};

# One session under each name makes none of them larger than two.
subtest 'made-up names that had a session push nobody out who has more' => sub {
	foreach my $i (0 .. 29)
	{
		rename_session(56, "made up $i");
		look();
	}
	rename_session(56, 'first');
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name LIKE 'made up %' AND taken_over = 1"
		),
		'30',
		'made-up names that had a session'
	);
	refused('made up', 30);
	is(query($node, followed($all)), $kept, 'push nobody out who has more');
};

subtest 'one that was too small begins with what it has then, not with a peak of before' => sub {
	my $brief = "application_name = 'brief 0'";
	rename_session($_, 'brief 0') foreach 54, 55;
	look();
	is(query($node, "SELECT connections FROM pool_monitor.pool_stats WHERE $brief"),
		'2', 'as small as the pairs');
	rename_session(55, 'first');
	look();
	is(query($node, "SELECT count(*) FROM pool_monitor.holders() WHERE $brief"),
		'0', 'it has no history');
	refused('brief', 1);
	wait_for(
		$node,
		"SELECT max_connections FROM pool_monitor.holders() WHERE $brief",
		'and then one of one connection', '1'
	);
};

$kept = '1|1|' . (PAIRS - 1) . '|0|24';

# They weigh less than a refused login then.
subtest 'who had sessions keeps it without them, also after a restart' => sub {
	rename_session($_, 'first') foreach 0 .. 2 * PAIRS - 1;
	look();
	refused('never', 30);
	is(query($node, followed($all)), $kept, 'nor do others those that had some');
	$crowd->close;
	$looker->close;
	$node->restart;
	begin();
	wait_for($node, followed($all), 'after a restart', $kept);
	refused('again', 10);
	is(query($node, followed($all)), $kept, 'nor then');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
