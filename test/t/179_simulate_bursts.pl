# simulate() of bursts, against a pool of which all is known: a queue that is played here, and
# the past that a worker and clients would have seen of it, at the ceiling and far from it.
# Each size is simulated from the past of each. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use List::Util        qw(max min sum);
use POSIX             qw(floor);
use PoolMonitor       qw(:DEFAULT query insert_pool);
use PoolMonitorAdvice qw(pools replay);
use Test::More;

my $minutes   = 20;
my $processes = 3;
my $overflow  = 2;
my @sizes     = (3, 4, 6);

my $node = new_server('simulate_bursts', "pool_monitor.history_minutes = 1500\n");
create_replay($node);
pools($node,
	map { insert_pool("of $_", workers => $processes, pool_size => $_, max_overflow => $overflow) }
	  @sizes);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'each pool has a history',
	scalar @sizes
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;
query($node,
	"SELECT count(replay_holds('of $_', (-200000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
) foreach @sizes;

# Bursts of eight at once, 42 checkouts a second: [when, process, hold], the first 10 s of which
# do not count.
sub bursts
{
	my ($seconds) = @_;
	my ($at, @checkouts) = (-10);
	srand(1);
	while (($at -= log(1 - rand) * 8 / 42) < $seconds)
	{
		push @checkouts, [$at, int rand $processes, -0.2 * log(1 - rand)] foreach 1 .. 8;
	}
	return \@checkouts;
}

# First come first served in each process: what waits, and the beginnings and ends of holds.
sub play
{
	my ($checkouts, $size) = @_;
	my @free = map { [(-10) x ($size + $overflow)] } 1 .. $processes;
	my (@waits, @ends);
	foreach my $checkout (@$checkouts)
	{
		my ($at, $process, $hold) = @$checkout;
		my $connections = $free[$process];
		my ($next)      = sort { $connections->[$a] <=> $connections->[$b] } 0 .. $#$connections;
		my $begins      = max($at, $connections->[$next]);
		$connections->[$next] = $begins + $hold;
		push @waits, $begins - $at if $at >= 0;
		push @ends, [$begins, 1, $process], [$begins + $hold, -1, $process];
	}
	@ends = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @ends;
	return (\@waits, \@ends);
}

# Of the second that ends there: is the pool at its ceiling, or above base?
sub state_of
{
	my ($size, $busy, $idle) = @_;
	return (
		sum(@$busy) == $processes * ($size + $overflow),
		sum(@$busy, @$idle) > $processes * $size
	);
}

# What a worker sees that looks each second.
sub seen
{
	my ($size, $ends) = @_;
	my %seen = map { $_ => 0 } qw(squares exhausted overflow ended busy);
	my @busy = (0) x $processes;
	my @idle = ($size) x $processes;
	my $i    = 0;
	foreach my $second (0 .. 60 * $minutes)
	{
		my $begun = 0;
		for (; $i < @$ends && $ends->[$i][0] <= $second ; $i++)
		{
			my ($at, $step, $process) = @{$ends->[$i]};
			$busy[$process] += $step;
			$idle[$process] = max(0, min($size, $idle[$process] - $step));
			$seen{busy} -= $step * max($at, 0);
			$begun++       if $step > 0;
			$seen{ended}++ if $step < 0 && $at >= 0;
		}
		next if $second == 0;
		my ($exhausted, $above) = state_of($size, \@busy, \@idle);
		$seen{squares}   += $begun**2;
		$seen{exhausted} += $exhausted;
		$seen{overflow}  += $above;
	}
	$seen{busy} += sum(@busy) * 60 * $minutes;
	return %seen;
}

# waits: none, where no client reports.
sub lay
{
	my ($size, $waits, %seen) = @_;
	replay(
		$node,
		[
			"of $size", $minutes,
			busy         => $seen{busy} / (60 * $minutes),
			max_busy     => $processes * ($size + $overflow),
			connections  => $processes * $size,
			transactions => floor($seen{ended} / $minutes),
			exhausted    => $seen{exhausted} / (60 * $minutes),
			overflow     => $seen{overflow} / (60 * $minutes)
		]
	);
	my @arrivals = (
		map { floor($_ / $minutes) } $seen{squares},
		scalar @$waits,
		scalar grep { $_ > 0 } @$waits
	);
	push @arrivals, sum(0, @$waits) / $minutes, 0;
	query($node, "SELECT replay_arrivals('of $size', 60, " . join(', ', @arrivals) . ')');
	return;
}

my $checkouts = bursts(60 * $minutes);
my %seen;
my %p95;
foreach my $size (@sizes)
{
	my ($waits, $ends) = play($checkouts, $size);
	$p95{$size}  = (sort { $a <=> $b } @$waits)[floor(0.95 * @$waits)];
	$seen{$size} = {seen($size, $ends)};
	lay($size, $waits, %{$seen{$size}});
}

# Within this share, or 5 ms.
sub compare
{
	my ($past, $size, $share) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($p95, $dispersion, $calibration) = split /\|/,
	  query($node,
		"SELECT wait_p95, dispersion, calibration FROM pool_monitor.simulate('of $past', pool_size => $size, span => '1 hour')"
	  );
	ok(
		abs($p95 - $p95{$size}) <= max($share * $p95{$size}, 0.005),
		"$size + $overflow from the past of $past + $overflow: $p95 and not $p95{$size}, by a dispersion of $dispersion"
	);
	return $calibration;
}

subtest 'clients report' => sub {
	foreach my $past (@sizes)
	{
		like(compare($past, $past, 0.2), qr/^good/, 'calibrated');
		compare($past, $_, 0.2) foreach grep { $_ != $past } @sizes;
	}
};

# At the ceiling the server sees bursts as smaller than they are.
subtest 'none does' => sub {
	lay($_, [], %{$seen{$_}}) foreach @sizes;
	foreach my $past (@sizes)
	{
		compare($past, $_, 0.3) foreach @sizes;
	}
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
