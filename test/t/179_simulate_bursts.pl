# simulate() of bursts, against a pool of which all is known: a queue that is played here, and
# the past that a worker and clients would have seen of it, at the ceiling and far from it.
# Each size is simulated from the past of each; a burst comes to all processes, or to one, as
# when a request asks for many things at once. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use List::Util        qw(max min sum);
use POSIX             qw(floor);
use PoolMonitor       qw(:DEFAULT query insert_pool);
use PoolMonitorAdvice qw(pools replay forget in_one_minute);
use Test::More;

my $minutes   = 20;
my $processes = 3;
my $overflow  = 2;
my @sizes     = (3, 4, 6);
my $ample     = 30;

my $node = new_server('simulate_bursts', "pool_monitor.history_minutes = 1500\n");
create_replay($node);
pools(
	$node,
	map { insert_pool("of $_", workers => $processes, pool_size => $_, max_overflow => $overflow) }
	  @sizes,
	$ample
);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'each pool has a history',
	@sizes + 1
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;
query($node,
	"SELECT count(replay_holds('of $_', (-200000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
) foreach @sizes, $ample;

# Bursts of so many at once, each to one process if together, 42 checkouts a second or so many:
# [when, process, hold], the first 10 s of which do not count.
sub bursts
{
	my ($seconds, $size, $together, $rate) = @_;
	$rate //= 42;
	my ($at, @checkouts) = (-10);
	srand(1);
	while (($at -= log(1 - rand) * $size / $rate) < $seconds)
	{
		my $one = $together ? int rand $processes : undef;
		push @checkouts, [$at, $one // int rand $processes, -0.2 * log(1 - rand)]
		  foreach 1 .. $size;
	}
	return \@checkouts;
}

# First come first served in each process: what waits, and when connections are taken (1) and
# given back (-1), and transactions in between begin and end: after besides, on average and at
# random, and so long before.
sub play
{
	my ($checkouts, $size, $besides) = @_;
	my @free = map { [(-10) x ($size + $overflow)] } 1 .. $processes;
	my (@waits, @ends);
	foreach my $checkout (@$checkouts)
	{
		my ($at, $process, $hold) = @$checkout;
		my $connections = $free[$process];
		my ($next)      = sort { $connections->[$a] <=> $connections->[$b] } 0 .. $#$connections;
		my $begins      = max($at, $connections->[$next]);
		my ($before, $after) = map { -$besides * log(1 - rand) } 1, 2;
		my $ends = $begins + $before + $hold + $after;
		$connections->[$next] = $ends;
		push @waits, $begins - $at if $at >= 0;
		push @ends, [$begins, 1, $process, 'out'], [$ends, -1, $process, 'out'];
		push @ends, [$begins + $before, 1, $process, 'busy'],
		  [$ends - $after, -1, $process, 'busy'];
	}
	@ends = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @ends;
	return (\@waits, \@ends);
}

# Of the second that ends there: is the pool at its ceiling, or above base?
sub state_of
{
	my ($size, $busy, $open) = @_;
	return ($busy == $processes * ($size + $overflow), sum(@$open) > $processes * $size);
}

# What a worker sees that looks each second.
sub seen
{
	my ($size, $ends) = @_;
	my %seen = map { $_ => 0 } qw(squares exhausted overflow ended busy out);
	my %now  = (busy => 0, out => 0);
	my @idle = ($size) x $processes;
	my @out  = (0) x $processes;
	my $i    = 0;
	foreach my $second (0 .. 60 * $minutes)
	{
		my $begun = 0;
		for (; $i < @$ends && $ends->[$i][0] <= $second ; $i++)
		{
			my ($at, $step, $process, $what) = @{$ends->[$i]};
			$now{$what}  += $step;
			$seen{$what} -= $step * max($at, 0);
			if ($what eq 'out')
			{
				$out[$process] += $step;
				$idle[$process] = max(0, min($size, $idle[$process] - $step));
				next;
			}
			$begun++       if $step > 0;
			$seen{ended}++ if $step < 0 && $at >= 0;
		}
		next if $second == 0;
		my ($exhausted, $above) = state_of($size, $now{busy}, [@out, @idle]);
		$seen{squares}   += $begun**2;
		$seen{exhausted} += $exhausted;
		$seen{overflow}  += $above;
	}
	$seen{$_} += $now{$_} * 60 * $minutes foreach 'busy', 'out';
	return %seen;
}

# Of each size in %$pools what was seen, and waits: none, where no client reports. All pasts at
# once: they are of the same minutes.
sub lay
{
	my ($pools) = @_;
	my $seconds = 60 * $minutes;
	forget($node, map { "of $_" } keys %$pools);
	replay(
		$node,
		map {
			[
				"of $_", $minutes,
				busy         => $pools->{$_}{busy} / $seconds,
				max_busy     => $processes * ($_ + $overflow),
				connections  => $processes * $_,
				transactions => floor($pools->{$_}{ended} / $minutes),
				exhausted    => $pools->{$_}{exhausted} / $seconds,
				overflow     => $pools->{$_}{overflow} / $seconds
			]
		} keys %$pools
	);
	query($node, join '; ', map { reported($_, $pools->{$_}) } keys %$pools);
	return;
}

# What clients say of that, as SQL.
sub reported
{
	my ($size, $pool) = @_;
	my @waits    = @{$pool->{waits}};
	my @arrivals = map { floor($_ / $minutes) } $pool->{squares}, scalar @waits,
	  scalar grep { $_ > 0 } @waits;
	push @arrivals, sum(0, @waits) / $minutes, 0;
	my $out  = $pool->{out} / (60 * $minutes);
	my $open = @waits ? $processes * $size : 0;
	return
		"SELECT replay_arrivals('of $size', 60, "
	  . join(', ', @arrivals)
	  . "), replay_use('of $size', $minutes, $arrivals[1], $out, $open)";
}

# Is it within this share, or 5 ms, in words, and the calibration.
sub compare
{
	my ($past, $size, $is, $share) = @_;
	my ($p95, $dispersion, $calibration) = split /\|/,
	  query($node,
		"SELECT wait_p95, dispersion, calibration FROM pool_monitor.simulate('of $past', pool_size => $size, span => '1 hour')"
	  );
	my $answer = "$p95 and not $is, by a dispersion of $dispersion";
	my $near   = abs($p95 - $is) <= max($share * $is, 0.005);
	return [$near, "$size + $overflow from the past of $past + $overflow: $answer", $calibration];
}

# Each size from the past of each, laid anew; $p95: what they have.
sub compare_pasts
{
	my ($seen, $p95, $share) = @_;
	return map {
		my $past = $_;
		in_one_minute(
			$node,
			sub {
				lay($seen);
				map { compare($past, $_, $p95->{$_}, $share) } @sizes;
			}
		)
	} @sizes;
}

sub compare_all
{
	my ($checkouts, $share, $unreported, $besides) = @_;
	my (%seen, %p95);
	foreach my $size (@sizes)
	{
		my ($waits, $ends) = play($checkouts, $size, $besides // 0);
		$p95{$size}  = (sort { $a <=> $b } @$waits)[floor(0.95 * @$waits)];
		$seen{$size} = {seen($size, $ends), waits => $waits};
	}
	foreach my $answer (compare_pasts(\%seen, \%p95, $share))
	{
		my ($near, $what, $calibration) = @$answer;
		ok($near, $what);
		like($calibration, qr/^good/, 'calibrated');
	}
	return if !$unreported;
	$_->{waits} = [] foreach values %seen;
	subtest 'nobody reports' => sub { $unreported->(\%seen, \%p95) };
	return;
}

# At the ceiling the server sees bursts as smaller than they are.
subtest 'to any process' => sub {
	compare_all(
		bursts(60 * $minutes, 8, 0),
		0.2,
		sub {
			my ($seen, $p95) = @_;
			ok($_->[0], $_->[1]) foreach compare_pasts($seen, $p95, 0.3);
		}
	);
};

# Which the server cannot tell, as the sum of all processes is full no more often.
subtest 'to one process' => sub {
	compare_all(
		bursts(60 * $minutes, 6, 1),
		0.2,
		sub {
			my ($seen, $p95) = @_;
			foreach my $past (@sizes)
			{
				my ($is, $calibration) = in_one_minute(
					$node,
					sub {
						lay($seen);
						split /\|/,
						  query($node,
							"SELECT wait_p95, calibration FROM pool_monitor.simulate('of $past', span => '1 hour')"
						  );
					}
				);
				ok($is < $p95->{$past}, "$past + $overflow: $is is below $p95->{$past}");
				like($calibration, qr/^lower bound: /, 'which it says');
			}
		}
	);
};

# Before a transaction, and after it, a client has its connection where the server does not see it.
subtest 'to one process, by clients that have connections longer' => sub {
	compare_all(bursts(60 * $minutes, 6, 1, 21), 0.2, undef, 0.1);
};

subtest 'to a pool that is large enough for either' => sub {
	my (undef, $ends) = play(bursts(60 * $minutes, 8, 0), $ample, 0);
	lay({$ample => {seen($ample, $ends), waits => []}});
	my ($dispersion, $calibration) = split /\|/,
	  query($node,
		"SELECT dispersion > 5, calibration FROM pool_monitor.simulate('of $ample', span => '1 hour')"
	  );
	is($dispersion, 't', 'there are bursts');
	like(
		$calibration,
		qr/^good: .*; no waits are reported of this time and these sizes$/,
		'nobody would wait'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
