# SQLAlchemy's pools while the server retires two thousand of their sessions, by
# workers that are processes of their own. When the declared pool_recycle is the
# one they have, they do not notice, with pre_ping and without. When it is not,
# they do, and this test sees it. Only real pools can say what they notice.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query client);
use PostgreSQL::Test::Utils;
use Test::More;

use constant {WORKERS => 4, CONNECTIONS => 40, MANY => 1000};

# How long a worker may stand still with a connection checked out, in ms: where it
# recycles as declared that is recycle_margin, because at the checkout the session
# was not over age; else recycle_grace, after the ping.
use constant ROOM => 1000;

my $node = new_server('sqlalchemy_recycle', <<'EOC');
pool_monitor.recycle_interval = 200ms
pool_monitor.recycle_margin = 100
max_connections = 400
EOC
query($node, 'CREATE ROLE app LOGIN; CREATE TABLE work (name text); GRANT INSERT ON work TO app');

sub start_worker
{
	my ($name, @how) = @_;
	return client('recycled.py', $node->connstr('postgres') . ' user=app', $name, CONNECTIONS,
		@how);
}

# All that a worker still says; it has ended well.
sub last_words
{
	my ($worker) = @_;
	local $SIG{ALRM} = sub { die "no answer from a worker\n" };

	alarm $PostgreSQL::Test::Utils::timeout_default;
	my $text = join '', readline $worker->{out};
	alarm 0;
	waitpid delete $worker->{pid}, 0;
	die "a worker failed: $text" if $?;
	return $text;
}

# Workers of that name that have opened all their connections, with pool_recycle
# and pre_ping.
sub start_application
{
	my ($name, $workers, @how) = @_;
	my @application = map { start_worker($name, @how) } 1 .. $workers;

	foreach my $worker (@application)
	{
		die 'a worker ended' unless $worker->answer eq 'ready';
	}
	return \@application;
}

# Ends it. What its workers counted, added up; but the slowest use of all.
sub end_application
{
	my ($application) = @_;
	my %sum = (slowest => 0);

	close $_->{in} foreach @$application;
	foreach my $worker (@$application)
	{
		my $text = last_words($worker);
		note($text);
		my %count   = $text =~ /\b(\w+)=(\d+)/g;
		my $slowest = delete $count{slowest};
		$sum{slowest} = $slowest if $slowest > $sum{slowest};
		$sum{$_} += $count{$_} foreach keys %count;
	}
	return \%sum;
}

sub stat_of
{
	my ($name, $what) = @_;
	return "SELECT $what FROM pool_monitor.pool_stats WHERE pool = '$name'";
}

sub value { return query($node, $_[0]) }

sub pauses_of
{
	my ($name) = @_;
	return
	  "SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = '$name'";
}

# The wrong ones are declared too small: one retirement in a second, so that what
# each costs can be seen. Their budget says that opening all they have at once is
# no storm.
sub row
{
	my ($name, $size) = @_;
	return "('$name', '$name', $size, 0, '1 s', 'terminate')";
}
declare(
	$node,
	'INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, budget, recycle_grace, max_overflow, pool_recycle, recycle_mode) VALUES '
	  . join(', ',
		(map { row($_, WORKERS . ', ' . CONNECTIONS . ", NULL, '200 ms'") } 'plain', 'pinged'),
		(map { row($_, "1, 1, 1000, '1 s'") } 'wrong plain', 'wrong pinged'))
);

my %application = (
	plain  => start_application('plain',  WORKERS, 1, 'off'),
	pinged => start_application('pinged', WORKERS, 1, 'on')
);
subtest 'as declared, they are retired by the hundred' => sub {
	foreach my $part (0.25, 0.5, 0.75, 1)
	{
		foreach my $name (sort keys %application)
		{
			wait_for(
				$node,
				stat_of($name, 'retired >= ' . $part * MANY),
				"$name: " . $part * MANY . ' retired'
			);
		}
	}
};
foreach my $name (sort keys %application)
{
	subtest "which the application does not notice: $name" => sub {
		my $seen = end_application($application{$name});

	  SKIP:
		{
			skip "a worker stood still for $seen->{slowest} ms, longer than it may", 5
			  if $seen->{slowest} >= ROOM;
			is($seen->{errors},             0, 'no error in the application');
			is($seen->{invalidated},        0, 'no connection was found broken');
			is($seen->{pool_invalidations}, 0, 'no pool was invalidated');
			is($seen->{discarded}, 0, 'no connection was thrown away before it was over age');
			is(
				$seen->{connected},
				WORKERS * CONNECTIONS + $seen->{recycled},
				'each new connection replaced one that was over age'
			);
		}
		is($seen->{pool_replaced}, 0, 'no engine took another pool');
		is(value(stat_of($name, 'connects')),
			$seen->{connected}, 'the server has seen as many connects');
		is(value("SELECT count(*) FROM work WHERE name = '$name'"),
			$seen->{written}, 'what was written is there');
		is(value(pauses_of($name)), 0, 'retirement was never paused')
		  or diag(
			value(
				"SELECT detail FROM pool_monitor.events WHERE event = 'retirement_paused' AND pool = '$name'"
			)
		  );
	};
}

# The client never recycles: it does not know that a session is over age.
%application = (
	'wrong plain'  => start_application('wrong plain',  1, -1, 'off'),
	'wrong pinged' => start_application('wrong pinged', 1, -1, 'on')
);
subtest 'not as declared: some are retired, then retirement pauses' => sub {
	foreach my $name (sort keys %application)
	{
		wait_for($node, stat_of($name, 'retired >= 1 AND (' . pauses_of($name) . ') > 0'), $name);
	}
};
foreach my $name (sort keys %application)
{
	subtest "which the application notices: $name" => sub {
		my $seen    = end_application($application{$name});
		my $retired = value(stat_of($name, 'retired'));

		note("retired $retired; paused: " . value(pauses_of($name)));
		if ($name eq 'wrong plain')
		{
			cmp_ok($seen->{errors}, '>', 0, 'the application sees errors');
		}
		else
		{
		  SKIP:
			{
				skip "the worker stood still for $seen->{slowest} ms", 1
				  if $seen->{slowest} >= ROOM;
				is($seen->{errors}, 0, 'pre_ping hides it from the application');
			}
		}
		cmp_ok($seen->{invalidated},        '>', 0, 'connections were found broken');
		cmp_ok($seen->{pool_invalidations}, '>', 0, 'and the whole pool invalidated for it');
		cmp_ok($seen->{discarded}, '>', $retired,
			'more good connections were thrown away than retired');
		is($seen->{recycled}, 0, 'none was over age');
		cmp_ok($seen->{connected}, '>=', CONNECTIONS + $seen->{discarded}, 'each was replaced');
		is(value("SELECT count(*) FROM work WHERE name = '$name'"),
			$seen->{written}, 'what was written is there');
	};
}
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
