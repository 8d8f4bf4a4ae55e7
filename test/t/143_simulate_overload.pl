# simulate() of an overload: what is too much to be replayed whole is replayed in part, and says
# the same of it as of a pool that is slower, and else alike. Needs a past, which regress has
# not.
use strict;
use warnings FATAL => 'all';
use PoolMonitor       qw(:DEFAULT query insert_pool);
use PoolMonitorAdvice qw(pools replay app_holder);
use Test::More;

my $node = new_server('simulate_overload', "pool_monitor.history_minutes = 1500\n");
create_replay($node);
query($node, 'CREATE ROLE app LOGIN');

# How many times as fast; the first is replayed whole, of the last each minute in part, too.
my %fast = (slow => 1, fast => 20, faster => 1000);
pools($node, map { insert_pool($_, pool_size => 10, max_overflow => 0) } sort keys %fast);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'each pool has a history', 3
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;
query($node,
	"SELECT count(replay_holds('$_', (-500000.0 / $fast{$_} * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
) foreach keys %fast;

# An hour of these loads in turn, for so many minutes each, as shares of what can be served; of
# all pools at once, as a new minute would take those away that were laid before.
sub past
{
	my (@loads) = @_;
	my @calls;
	foreach my $minute (reverse 1 .. 60)
	{
		my $load = $loads[$minute % @loads];
		push @calls,
		  [
			$_, $minute,
			busy         => 10 * $load,
			max_busy     => 10,
			connections  => 10,
			transactions => 1200 * $load * $fast{$_}
		  ]
		  foreach sort keys %fast;
	}
	replay($node, @calls);
	return;
}

# The columns and their intervals.
sub simulated
{
	my ($pool, $arguments, @columns) = @_;
	my $columns = join ', ', map { ($_, "${_}_low", "${_}_high") } @columns;
	my @row     = split /\|/,
	  query($node,
		"SELECT share_replayed > 0.999, $columns FROM pool_monitor.simulate('$pool', span => '1 hour', $arguments)"
	  );
	my $whole = shift @row;
	is(
		$whole,
		$pool eq 'slow' ? 't' : 'f',
		"$pool, $arguments: " . ($pool eq 'slow' ? 'whole' : 'in part')
	);
	return map { [splice @row, 0, 3] } @columns;
}

# As far as both know it: do the intervals have something in common, or nearly so?
sub agree
{
	my ($little, $arguments, @columns) = @_;
	my @whole = simulated('slow', $arguments, @columns);
	foreach my $pool ('fast', 'faster')
	{
		my @part = simulated($pool, $arguments, @columns);
		foreach my $i (0 .. $#columns)
		{
			my ($one, $other) = ($whole[$i], $part[$i]);
			ok(
				$one->[1] <= $other->[2] * (1 + $little)
				  && $other->[1] <= $one->[2] * (1 + $little),
				"$pool, $arguments: $columns[$i] $other->[0] ($other->[1] to $other->[2]) as $one->[0] ($one->[1] to $one->[2])"
			);
		}
	}
	return;
}

subtest 'an overload that lasts' => sub {
	past(1);
	agree(0.05, "load => $_", 'timeout_share', 'wait_p50', 'full_share')
	  foreach 1.1, 1.65, 1.8, 2, 4;
	agree(0.05, "load => 2, pool_timeout => '1 s'", 'timeout_share', 'wait_p50');
};

subtest 'an overload that comes and goes' => sub {
	past(0.5, 2, 2, 2, 0.5, 0.5, 0.5);
	agree(0.1, "load => $_", 'timeout_share', 'wait_p50', 'wait_p95', 'full_share')
	  foreach 0.8, 1, 1.4;
};

subtest 'nearly always full' => sub {
	past(1);
	foreach my $share (simulated('slow', 'load => 1.05', 'full_share', 'exhausted_share'))
	{
		cmp_ok($share->[0], '>',  0.9, 'a share of nearly 1');
		cmp_ok($share->[2], '<=', 1,   'and nothing in its interval is above');
	}
};

# Two processes, as they report: three quarters of the checkouts come to one of them.
subtest 'an overload of one process, not of the other' => sub {
	declare($node, 'UPDATE pool_monitor.pools SET workers = 2, pool_size = 5');
	foreach my $pool (sort keys %fast)
	{
		my $session = app_holder($node, $pool, 1);
		foreach my $report ([a => 100, 0], [b => 100, 0], [a => 30_000, 1], [b => 10_000, 1])
		{
			my ($process, $checkouts, $before) = @$report;
			is(
				$session->do(
					"sql 0 SELECT pool_monitor.client_report('$process', 5, 0, 5, 3, 0, $checkouts, 0, 0, 0, reports_before => $before)"
				),
				'True',
				"$pool: $process reports $checkouts checkouts"
			);
		}
	}
	past(1);
	agree(0.05, 'load => 0.9', 'timeout_share', 'full_share');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
