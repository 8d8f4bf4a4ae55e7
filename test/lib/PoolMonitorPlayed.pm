# simulate() against a pool of which all is known: a queue that a test plays, and the past
# that a worker and clients would have seen of it. Three processes, with pools of several sizes
# and an overflow of two, and random holds of 0.2 s on average.
package PoolMonitorPlayed;

use strict;
use warnings FATAL => 'all';
use Exporter          qw(import);
use List::Util        qw(max min sum);
use POSIX             qw(floor);
use PoolMonitor       qw(:DEFAULT query insert_pool);
use PoolMonitorAdvice qw(pools replay forget in_one_minute);
use Test::More;

our @EXPORT =
  qw($minutes $processes $overflow played_server random_time ends_of seen lay compare_pasts compare_played);

our $minutes   = 20;
our $processes = 3;
our $overflow  = 2;

my $node;

# With a pool "of N" for each size N.
sub played_server
{
	my ($name, @sizes) = @_;
	$node = new_server($name, "pool_monitor.history_minutes = 1500\n");
	create_replay($node);
	pools(
		$node,
		map {
			insert_pool("of $_", workers => $processes, pool_size => $_, max_overflow => $overflow)
		} @sizes
	);
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
	return $node;
}

# Exponential, so much on average.
sub random_time { return -$_[0] * log(1 - rand) }

# When a connection is taken (1) and given back (-1) of a process, and a transaction in between
# begins and ends: so much after the one, and before the other.
sub ends_of
{
	my ($process, $begins, $before, $hold, $after) = @_;
	my $ends = $begins + $before + $hold + $after;
	return (
		[$begins,           1,  $process, 'out'],
		[$ends,             -1, $process, 'out'],
		[$begins + $before, 1,  $process, 'busy'],
		[$ends - $after,    -1, $process, 'busy']
	);
}

# Of the second that ends there: is the pool at its ceiling, or above base?
sub state_of
{
	my ($size, $busy, $open) = @_;
	return ($busy == $processes * ($size + $overflow), sum(@$open) > $processes * $size);
}

# What a worker sees of all ends_of() that looks each second.
sub seen
{
	my ($size, $ends) = @_;
	my %seen = map { $_ => 0 } qw(squares exhausted overflow ended busy out);
	$ends = [sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @$ends];
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

# Of each size in %$pools what was seen, and waits: none, where no client reports; and gave_up, how
# many did. All pasts at once: they are of the same minutes.
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
	push @arrivals, sum(0, @waits) / $minutes, floor(($pool->{gave_up} // 0) / $minutes);
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

# Each size from the past of each, laid anew for it; $p95: what they have.
sub compare_pasts
{
	my ($seen, $p95, $share) = @_;
	my @sizes = sort { $a <=> $b } keys %$p95;
	return map {
		my ($past, $size) = @$_;
		in_one_minute(
			$node,
			sub {
				lay($seen);
				return compare($past, $size, $p95->{$size}, $share);
			}
		)
	} map {
		my $past = $_;
		map { [$past, $_] } @sizes
	} @sizes;
}

# Each size, of which was seen what it waited, too, from the past of each: within this share? The
# calibrations are like that. What p95 they have.
sub compare_played
{
	my ($seen, $share, $like) = @_;
	my %p95 = map {
		$_ => (sort { $a <=> $b } @{$seen->{$_}{waits}})[floor(0.95 * @{$seen->{$_}{waits}})]
	  }
	  keys %$seen;
	foreach my $answer (compare_pasts($seen, \%p95, $share))
	{
		my ($near, $what, $calibration) = @$answer;
		ok($near, $what);
		like($calibration, $like, 'calibrated');
	}
	return \%p95;
}

1;
