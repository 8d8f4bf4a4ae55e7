# Which applications have a history of their own: one role's made-up names take little of it
# from other roles', and after a restart each has again what is its own. Only TAP has clients
# that move from name to name, and restarts.
use strict;
use warnings FATAL => 'all';
use PoolMonitor        qw(:DEFAULT query insert_pool);
use PoolMonitorHistory qw(set);
use PoolMonitorClients;
use Test::More;

# All 24 series: pairs of role "many", and larger applications of role "few".
use constant {PAIRS => 21, FEW => 3, MOVING => 26};

my $node = new_server('names',
	"max_connections = 110\npool_monitor.max_applications = 100\nlog_min_messages = debug1\n");
query($node, "CREATE ROLE $_ LOGIN") foreach 'many', 'few', 'evil';

# so that what asks here, and what has no other name yet, is no application
declare($node,
	insert_pool('tests', application_name => "'$ENV{PGAPPNAME}'") . insert_pool('begin'));

# The columns, of those that have a history.
sub followed
{
	my ($columns) = @_;
	return "SELECT $columns FROM pool_monitor.holders() WHERE application_name IS NOT NULL";
}

sub number_of { my ($role) = @_; return "count(*) FILTER (WHERE usename = '$role')" }

my $of_roles = followed(join ', ', map { number_of($_) } 'many', 'few', 'evil');
my $looker   = holder($node, 'begin');

# Brings sessions into the accounts of their names, then waits for more than two ticks.
sub ticks
{
	my $seen = q{SELECT max(seen) FROM pool_monitor.holders() WHERE pool = '(server)'};
	$looker->do('sql 0 SELECT count(*) FROM pool_monitor.pool_stats');
	my $before = query($node, $seen);
	$node->poll_query_until('postgres', "SELECT ($seen) > '$before'::interval + '110 ms'")
	  or die "no tick\n";
	return;
}

my $many = holder_of('many', $node, 'begin', sessions => 2 * PAIRS);
my @few  = map { holder_of('few', $node, "few $_", sessions => $_ == 1 ? 4 : 3) } 0 .. FEW - 1;
$many->do("sql $_ SET application_name = 'pair " . int($_ / 2) . "'") foreach 0 .. 2 * PAIRS - 1;
wait_for($node, $of_roles, 'all places are taken', PAIRS . '|' . FEW . '|0');

subtest 'a newcomer takes one of its own role that has no sessions' => sub {
	$few[1]->close;
	wait_for(
		$node,
		q{SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'few 1'},
		'the sessions of one have gone', '0'
	);
	$few[1] = holder_of('few', $node, 'few 3', sessions => 5);
	wait_for(
		$node,
		followed(q{string_agg(application_name, ', ' ORDER BY application_name)})
		  . q{ AND usename = 'few'},
		'not a lighter one of its role, which has some',
		'few 0, few 2, few 3'
	);
	is(query($node, $of_roles), PAIRS . '|' . FEW . '|0', "nor another role's");
};

subtest 'while its own is heavier it takes none, though there are lighter ones' => sub {
	$few[1]->close;
	wait_for(
		$node,
		q{SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'few 3'},
		'the sessions of this one have gone', '0'
	);
	$few[1] = holder_of('few', $node, 'few 4', sessions => 3);
	ticks();
	is(query($node, $of_roles), PAIRS . '|' . FEW . '|0', 'nor while that is too heavy');
	is(query($node, followed('count(*)') . q{ AND application_name = 'few 4'}),
		'0', 'it waits for its own');
	$few[1]->close;
};

my $evil = holder_of('evil', $node, 'begin', sessions => MOVING);

sub move
{
	my ($name, @sessions) = @_;
	$evil->do("sql $_ SET application_name = '$name'") foreach @sessions;
	ticks();
	return;
}

subtest "all of a role's sessions, under one name after another, take little" => sub {
	foreach my $i (0 .. 11)
	{
		move("all $i", 0 .. 5);
	}
	wait_for(
		$node,
		followed("max(max_connections) FILTER (WHERE application_name = 'all 11')"),
		'the last name is followed', '6'
	);

	# one, and another that was seen while half of the sessions had it
	my ($left, $few, $taken) = split /\|/, query($node, $of_roles);
	cmp_ok($taken, '<=', 2, 'all names before have lost theirs');
	is($few, FEW, 'the small role has kept its own');
	cmp_ok($left, '>=', PAIRS - 2, 'and the large one');
};

subtest 'who leaves one session behind under each name has no more than half' => sub {
	move("stay $_", $_ .. MOVING - 1) foreach 0 .. MOVING - 4;
	my ($left, $few, $taken) = split /\|/, query($node, $of_roles);
	is($few, FEW, 'again, who has few keeps them');
	cmp_ok(
		$taken, '<=',
		PAIRS / 2 + 1,
		'who makes up names has no more than the role he takes from had'
	);
	cmp_ok($left, '>=', PAIRS / 2 - 1, 'which keeps as many');
};

$evil->close;
$many->close;

# What came to the counters is in the history of each of the small role.
sub connects
{
	return
	  "SELECT string_agg(connects::text, ',' ORDER BY application_name) FROM pool_monitor.holders() WHERE usename = 'few'";
}

sub more
{
	my ($before, @new) = @_;
	return join ',', map { $_ + shift @new } split /,/, $before;
}

subtest 'a restart keeps for each what is its own' => sub {
	set($node, 'sample_interval', '60s');
	my $before = query($node, connects());
	$_->close foreach @few;
	@few = map { holder_of('few', $node, "few $_", sessions => 1) } 0, 2, 3;
	$_->close foreach @few;
	$looker->close;
	$node->restart;
	wait_for(
		$node, connects(),
		'the first tick has for all what none had before',
		$before = more($before, 1, 1, 1)
	);

	@few = map { holder_of('few', $node, "few $_", sessions => 1 + $_) } 0, 2, 3;
	set($node, 'sample_interval', '50ms');
	wait_for(
		$node, connects(),
		'one that comes alone is followed, and all that come before a tick are counted',
		$before = more($before, 1, 3, 4)
	);
};

subtest 'what comes back after its account was given up is followed again, alone' => sub {
	$looker = holder($node, 'begin');
	$evil   = holder_of('evil', $node, 'begin');
	my $without = followed('min(application_name)')
	  . q{ AND usename = 'evil' AND application_name NOT IN (SELECT application_name FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL)};
	my $name = '';
	for (my $i = 0 ; $i < 100 && $name eq '' ; $i++)
	{
		foreach my $j (0 .. 19)
		{
			$evil->do("sql 0 SET application_name = 'made up $i.$j'");
			$looker->do('sql 0 SELECT count(*) FROM pool_monitor.pool_stats');
		}
		ticks();
		$name = query($node, $without);
	}
	isnt($name, '', 'one has a history and no account');
	my $its  = followed('connects') . " AND application_name = '$name'";
	my $had  = query($node, $its);
	my $back = holder_of('evil', $node, $name);
	wait_for($node, $its, 'it is followed again, alone', $had + 1);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
