# simulate() of callers that each wait for their answer before they ask again, as a fixed number
# of threads does, against a queue that is played here. They wait for far less than who asks
# without end. Each size is simulated from the past of each. Needs a past, which regress has not.
use strict;
use warnings FATAL => 'all';
use List::Util        qw(max sum);
use PoolMonitor       qw(:DEFAULT query app_holder);
use PoolMonitorAdvice qw(in_one_minute);
use PoolMonitorPlayed;
use Test::More;

my @sizes   = (3, 4, 8);    # of the last, there are more connections than callers
my $callers = 9;            # of each process
my $thought = 0.2;          # s, from an answer to the next question, on average
my $node    = played_server('simulate_callers', @sizes);

# The place of the least.
sub first_of
{
	my ($times) = @_;
	my $first = 0;
	foreach (1 .. $#$times)
	{
		$first = $_ if $times->[$_] < $times->[$first];
	}
	return $first;
}

# Of one process, first come first served: $with has how many callers, connections, s until one
# gives up, and the hold; waits, ends_of() and how many gave up are added to $played.
sub play_process
{
	my ($process, $with, $played) = @_;
	my @free = (-10) x $with->{connections};
	my @asks = map { -10 + random_time($thought) } 1 .. $with->{callers};
	while (1)
	{
		my $caller = first_of(\@asks);
		my $next   = first_of(\@free);
		my $at     = $asks[$caller];
		my $begins = max($at, $free[$next]);
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

# Each process has as many callers, or as many as are in each; of_each has what waited in it.
sub play
{
	my ($size, %with) = @_;
	my %played = (gave_up => 0, asked => 0, waits => [], ends => []);
	srand 1;
	foreach my $process (0 .. $processes - 1)
	{
		my $before = @{$played{waits}};
		play_process(
			$process,
			{
				callers     => $with{each} ? $with{each}[$process] : $callers,
				connections => $size + $overflow,
				timeout     => 30,
				%with
			},
			\%played
		);
		push @{$played{of_each}}, [@{$played{waits}}[$before .. $#{$played{waits}}]];
	}
	return {seen($size, $played{ends}), %played};
}

my %played = map { $_ => play($_) } @sizes;
my $who    = 'callers that wait for their answer before they ask again';
my $p95    = compare_played(\%played, 0.2, qr/^good: .*; $who: \d+/);
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
	my ($least, $most) = $calibration =~ /; $who: (\d+)(?: to (\d+))?$/;
	my $all = $processes * $callers;
	cmp_ok($least, '<=', $all, "$all of them");
	cmp_ok($most // $least, '>=', $all,       'are among those that it takes for likely');
	cmp_ok($most // $least, '<',  1.2 * $all, 'and not many more');
	foreach my $size (4, 8)
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

# What they did not get is none of what they ask for.
subtest 'the past of who gave up' => sub {
	my %was = %played;
	foreach my $with (['0.1', 2], ['0.02', 4])
	{
		my ($timeout, $size) = @$with;
		declare($node, "UPDATE pool_monitor.pools SET pool_timeout = '$timeout s'");
		$played{3} = play(3, timeout => $timeout);
		like(
			simulated('calibration', ''),
			qr/^good: .*; $who: \d+/,
			"pool_timeout $timeout s: calibrated"
		);
		my $given = play($size, timeout => $timeout);
		my ($share, $throughput) = split /\|/,
		  simulated('timeout_share, throughput', ", pool_size => $size");
		near(
			$share, $given->{gave_up} / $given->{asked},
			0.15,   "the share that does with $size + $overflow"
		);
		near($throughput, ($given->{asked} - $given->{gave_up}) / (60 * $minutes),
			0.03, 'and the throughput of the others');
	}
	declare($node, q{UPDATE pool_monitor.pools SET pool_timeout = '30 s'});
	%played = %was;
};

# Nobody waits with the next question: 60 at random a second, each for the process that $whose
# gives for its number.
sub play_open
{
	my ($size, $seed, $whose) = @_;
	my %open = (waits => [], ends => []);
	my @free = map { [(-10) x ($size + $overflow)] } 1 .. $processes;
	srand $seed;
	for (my ($at, $n) = (-10, 0) ; $at < 60 * $minutes ; $at += random_time(1 / 60), $n++)
	{
		my $process     = $whose->($n);
		my $connections = $free[$process];
		my $next        = first_of($connections);
		my $begins      = max($at, $connections->[$next]);
		$connections->[$next] = $begins + random_time(0.2);
		push @{$open{ends}},  ends_of($process, $begins, 0, $connections->[$next] - $begins, 0);
		push @{$open{waits}}, $begins - $at if $at >= 0;
	}
	return {seen($size, $open{ends}), %open};
}

# As many as in turn, below.
subtest 'at random, of any process' => sub {
	my $was = $played{3};
	foreach my $seed (1, 2)
	{
		$played{3} = play_open(3, $seed, sub { int rand $processes });
		unlike(simulated('calibration', ''), qr/callers|turn/, "seed $seed: that is none of both");
	}
	$played{3} = $was;
};

# A balancer before the processes gives to each in turn what comes at random: these wait for less,
# too, but are no number of callers.
subtest 'each process in turn' => sub {
	my %turns =
	  map {
		$_ => play_open($_, 2, sub { $_[0] % $processes })
	  } 3, 4;
	compare_played(\%turns, 0.2, qr/^good: .*; each process in turn$/);
};

# One process after the other reports a hundredth of what it has done, by which the server knows
# how uneven they are.
subtest 'most of them in one process' => sub {
	query($node, 'CREATE ROLE app LOGIN');
	my $session = app_holder($node, 'of 3', 1);
	my $uneven  = play(3, each => [4, 8, 15]);
	foreach my $process (0 .. $processes - 1)
	{
		my @waits  = @{$uneven->{of_each}[$process]};
		my @report = map { int($_ / 100) } scalar @waits, scalar grep { $_ > 0 } @waits;
		push @report, sum(@waits) / 100;
		is(
			$session->do(
					"sql 0 SELECT pool_monitor.client_report('$process', 3, 2, 5, 3, 0, "
				  . join(', ', @report)
				  . ', 0, 0, reports_before => 0)'
			),
			'True',
			"process $process reports"
		);
	}
	$played{3} = $uneven;
	foreach my $size (2, 4)
	{
		my @waits = sort { $a <=> $b } @{play($size, each => [4, 8, 15])->{waits}};
		near(
			simulated('wait_p95', ", pool_size => $size"),
			$waits[0.95 * @waits],
			0.2, "p95 with $size + $overflow"
		);
	}
	$session->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
