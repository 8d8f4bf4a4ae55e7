# simulate() of callers that each wait for their answer before they ask again, as a fixed number
# of threads does, against a queue that is played here. They wait for far less than who asks
# without end. Each size is simulated from the past of each. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use List::Util        qw(max);
use PoolMonitor       qw(:DEFAULT query);
use PoolMonitorAdvice qw(in_one_minute);
use PoolMonitorPlayed;
use Test::More;

my @sizes   = (2, 3, 4, 8);    # of the last, there are more connections than callers
my $callers = 9;               # of each process
my $thought = 0.2;             # s, from an answer to the next question, on average
my $node    = played_server('simulate_callers', @sizes);

# Of one process, first come first served: $with has how many callers, connections, s until one
# gives up, and the hold; waits, ends_of() and how many gave up are added to $played.
sub play_process
{
	my ($process, $with, $played) = @_;
	my @free = (-10) x $with->{connections};
	my @asks = map { -10 + random_time($thought) } 1 .. $with->{callers};
	while (1)
	{
		my ($caller) = sort { $asks[$a] <=> $asks[$b] } 0 .. $#asks;
		my ($next)   = sort { $free[$a] <=> $free[$b] } 0 .. $#free;
		my $at       = $asks[$caller];
		my $begins   = max($at, $free[$next]);
		return             if $at >= 60 * $minutes;
		$played->{asked}++ if $at >= 0;
		if ($begins - $at > $with->{timeout})
		{
			$played->{gave_up}++ if $at >= 0;
			$asks[$caller] = $at + $with->{timeout} + random_time($thought);
			next;
		}
		$free[$next] = $begins + random_time(0.2);
		push @{$played->{ends}},  ends_of($process, $begins, 0, $free[$next] - $begins, 0);
		push @{$played->{waits}}, $begins - $at if $at >= 0;
		$asks[$caller] = $free[$next] + random_time($thought);
	}
}

sub play
{
	my ($size, %with) = @_;
	my %played = (gave_up => 0, asked => 0, waits => [], ends => []);
	srand 1;
	play_process(
		$_,
		{
			callers     => $callers,
			connections => $size + $overflow,
			timeout     => 30,
			%with
		},
		\%played
	) foreach 0 .. $processes - 1;
	return {seen($size, $played{ends}), %played};
}

my %played = map { $_ => play($_) } @sizes;
my $who    = 'callers that each wait for an answer before they ask again';
my $p95    = compare_played(\%played, 0.2, qr/^good: .* for \d+( to \d+)? $who$/);
note "p95 with $_ + $overflow: $p95->{$_}" foreach @sizes;

# Of the past of 3 + 2; in the same minute as that was laid.
sub simulated
{
	my ($columns, $arguments) = @_;
	return in_one_minute(
		$node,
		sub {
			lay(\%played);
			return query($node,
				"SELECT $columns FROM pool_monitor.simulate('of 3', span => '1 hour'$arguments)");
		}
	);
}

sub near
{
	my ($is, $expected, $share, $what) = @_;
	cmp_ok(abs($is - $expected), '<=', $share * $expected, "$what: $is, and not $expected");
	return;
}

subtest 'how many, and what they would do' => sub {
	my $calibration = simulated('calibration', '');
	my ($least, $most) = $calibration =~ / for (\d+)(?: to (\d+))? $who$/;
	my $all = $processes * $callers;
	cmp_ok($least, '<=', $all, "$all of them");
	cmp_ok($most // $least, '>=', $all,       'are among those that it takes for likely');
	cmp_ok($most // $least, '<',  1.2 * $all, 'and not many more');
	foreach my $size (2, 4)
	{
		near(
			simulated('throughput', ", pool_size => $size"),
			$played{$size}{asked} / (60 * $minutes),
			0.03, "throughput with $size + $overflow"
		);
	}
};

subtest 'twice as many' => sub {
	my $twice = play(4, callers => 2 * $callers);
	my ($is, $throughput) = split /\|/,
	  simulated('wait_p50, throughput', ', pool_size => 4, load => 2');
	my @waits = sort { $a <=> $b } @{$twice->{waits}};
	near($is,         $waits[@waits / 2],                0.1,  'their median wait');
	near($throughput, $twice->{asked} / (60 * $minutes), 0.03, 'and the throughput');
};

subtest 'who gives up asks again' => sub {
	my $given = play(2, timeout => 0.1);
	my ($share, $throughput) = split /\|/,
	  simulated('timeout_share, throughput', q{, pool_size => 2, pool_timeout => '0.1 s'});
	near($share, $given->{gave_up} / $given->{asked}, 0.1, 'the share that does');
	near($throughput, ($given->{asked} - $given->{gave_up}) / (60 * $minutes),
		0.03, 'and the throughput of the others');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
