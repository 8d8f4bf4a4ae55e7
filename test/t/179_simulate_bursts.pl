# simulate() of bursts, against a pool of which all is known: a queue that is played here, and
# the past that a worker and clients would have seen of it, at the ceiling and far from it.
# Each size is simulated from the past of each; a burst comes to all processes, or to one, as
# when a request asks for many things at once. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use List::Util        qw(max);
use PoolMonitor       qw(:DEFAULT query);
use PoolMonitorAdvice qw(in_one_minute);
use PoolMonitorPlayed;
use Test::More;

my @sizes = (3, 4, 6);
my $ample = 30;
my $node  = played_server('simulate_bursts', @sizes, $ample);

# Bursts of so many at once, each to one process if together, 42 checkouts a second or so many:
# [when, process, hold], the first 10 s of which do not count.
sub bursts
{
	my ($seconds, $size, $together, $rate) = @_;
	$rate //= 42;
	my ($at, @checkouts) = (-10);
	srand(1);
	while (($at += random_time($size / $rate)) < $seconds)
	{
		my $one = $together ? int rand $processes : undef;
		push @checkouts, [$at, $one // int rand $processes, random_time(0.2)] foreach 1 .. $size;
	}
	return \@checkouts;
}

# First come first served in each process: what waits, and its ends_of(); a client has its
# connection for so long before and after its transaction, on average.
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
		my ($before, $after) = map { random_time($besides) } 1, 2;
		push @ends, ends_of($process, $begins, $before, $hold, $after);
		$connections->[$next] = $begins + $before + $hold + $after;
		push @waits, $begins - $at if $at >= 0;
	}
	return (\@waits, \@ends);
}

sub compare_all
{
	my ($checkouts, $share, $unreported, $besides) = @_;
	my %seen;
	foreach my $size (@sizes)
	{
		my ($waits, $ends) = play($checkouts, $size, $besides // 0);
		$seen{$size} = {seen($size, $ends), waits => $waits};
	}
	my $p95 = compare_played(\%seen, $share, qr/^good/);
	return if !$unreported;
	$_->{waits} = [] foreach values %seen;
	subtest 'nobody reports' => sub { $unreported->(\%seen, $p95) };
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
