# simulate() of callers that wait for their answer, where a past is odd: replayed in parts, a rate
# that changes, a load that is no whole number of callers, waits that cannot be.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use PoolMonitorRepair;
use Test::More;

my $node  = advice_server('callers_odd');
my %holds = (web => 100_000, day => 100_000, timer => 1000);    # us, on average
pools(
	$node,
	row('web',   pool_size => 10, max_overflow => 0),
	row('day',   pool_size => 20, max_overflow => 0),
	row('timer', pool_size => 10, max_overflow => 0),
	row('alike', pool_size => 10, max_overflow => 0)
);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'the pools have a history', 4
);
query($node,
	"SELECT count(replay_holds('$_', (-$holds{$_} * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
) foreach keys %holds;
query($node, q{SELECT replay_holds('alike', 100000, 20000)});

my $who = 'callers that wait for their answer before they ask again';

sub simulated
{
	my ($columns, $arguments) = @_;
	return query($node,
		"SET statement_timeout = '10 min'; SELECT $columns FROM pool_monitor.simulate($arguments)");
}

# As arguments of replay_arrivals(): a minute of 60 ticks with such a dispersion, of which this
# share is reported.
sub arrivals
{
	my ($rate, $dispersion, $waiting, $wait, $reported) = @_;
	my $checkouts = int(60 * $rate * ($reported // 1));
	my $squares   = int($rate**2 * 60 + $dispersion * $rate * 59);
	return join ', ', 60, $squares, $checkouts, int($waiting * $checkouts), $wait * $checkouts, 0;
}

sub near
{
	my ($is, $expected, $share, $what) = @_;
	cmp_ok(abs($is - $expected), '<=', $share * $expected, "$what: $is, and not $expected");
	return;
}

# A day of 18 callers with ten connections, who think for so long, of whom this share is reported.
sub lay_of
{
	my ($pool, $thought, $dispersion, $reported) = @_;
	my ($rate, $full,    $waiting,    $wait)     = repaired(18, 10, 0.1, $thought);
	replay(
		$node,
		[
			$pool, 1440,
			busy         => 0.1 * $rate,
			max_busy     => 10,
			connections  => 10,
			transactions => int(60 * $rate),
			exhausted    => $full
		]
	);
	query($node,
			"SELECT replay_arrivals('$pool', "
		  . arrivals($rate, $dispersion, $waiting, $wait, $reported)
		  . ')');
	return;
}

# Of such a past, with no other minute in it.
sub of_past
{
	my ($past, $columns, $arguments) = @_;
	return in_one_minute(
		$node,
		sub {
			lay_of('web', @$past);
			return simulated($columns, "'web', $arguments");
		}
	);
}

my @past = (0.1, 0.6);

# A day is too much for a replay, an hour is not.
subtest 'in parts, as in whole' => sub {
	foreach my $size (6, 8, 12)
	{
		my @exact = repaired(18, $size, 0.1, 0.1);
		foreach my $span ('1 hour', '1 day')
		{
			my ($waits, $throughput, $calibration, $whole) = split /\|/,
			  of_past(
				\@past,
				'waiting, throughput, calibration, share_replayed = 1',
				"pool_size => $size, span => '$span'"
			  );
			is($whole, 'f', 'a part of the day') if $span eq '1 day';
			like($calibration, qr/^good: .*; $who: \d+/, 'there are callers');
			near($waits,      $exact[2], 0.1,  "who waits for $size");
			near($throughput, $exact[0], 0.02, 'and the throughput');
		}
	}
};

subtest 'another load' => sub {
	foreach my $load (0.02, 0.5, 1.03)
	{
		near(
			of_past(\@past, 'throughput', "pool_size => 50, load => $load"),
			$load * 18 / 0.2,
			0.03, "$load, for which nobody waits"
		);
	}
	near(of_past(\@past, 'throughput', 'load => 5'), 10 / 0.1, 0.02, 'of 5 it does what it can');
	near(of_past(\@past, 'throughput', 'load => 1000'),
		10 / 0.1, 0.1, 'and of 1,000, in no time to speak of');
	is(of_past(\@past, 'processes, throughput > 0', 'workers => 10000'),
		'10000|t', 'some may be in each of 10,000 processes, or none');
	is(of_past(\@past, 'waiting, timeouts', 'pool_size => 0, max_overflow => -1'),
		'0|0', 'an unbounded pool has room for all');
};

# Nobody knows what a client does who got nothing, and does not think: it is not simulated for ever.
subtest 'who does not think, nor wait' => sub {
	foreach my $timeout (0, 10)
	{
		my ($few, $share, $calibration) = split /\|/,
		  of_past(
			[0.001, 0.9],
			'arrivals < 2 * 800000 * 10, timeout_share, calibration',
			"pool_size => 5, pool_timeout => '$timeout ms', span => '1 hour'"
		  );
		is($few, 't', "pool_timeout $timeout ms: not more than another load");
		cmp_ok($share, '>', 0.5, 'most give up');
		like($calibration, qr/^good: .*; $who: \d+/, 'callers they are');
	}
};

# Where all hold alike, and a pool is full, connections are taken like clockwork.
subtest 'no dispersion at all' => sub {
	my $calibration = in_one_minute(
		$node,
		sub {
			lay_of('alike', 0.001, 0);
			return simulated('calibration', q{'alike', span => '1 hour'});
		}
	);
	like($calibration, qr/^good: .*; $who: \d+/, 'is of callers, too');
};

subtest 'few of them report' => sub {
	like(of_past([@past, 0.6], 'calibration', "span => '1 hour'"),
		qr/$who/, 'three of five are most');
	unlike(of_past([@past, 0.4], 'calibration', "span => '1 hour'"),
		qr/$who/, 'two of five are not');
};

# An hour of 100 a second, an hour of one; the average keeps 5 busy, the day 10.
subtest 'day and night' => sub {
	replay($node,
		['day', 120, busy => 10, max_busy => 16, connections => 20, transactions => 6000]);
	query($node, "SELECT replay_arrivals('day', " . arrivals(100, 0.5, 0, 0) . ')');
	query(
		$node,
		q{SELECT replay_stretch('day', '1 min', bucket_start, 60, 20, 20, 0.1, 3, 0, 0, 0, 0, 60, 0, 0, 0),
			replay_arrivals('day', }
		  . arrivals(1, 0.5, 0, 0)
		  . q{, bucket_start) FROM (SELECT bucket_start FROM pool_monitor.history('day', '1 minute') ORDER BY bucket_start LIMIT 60) AS night}
	);
	foreach my $size (20, 12)
	{
		near(simulated('throughput', "'day', pool_size => $size"),
			50.5, 0.05, "throughput with $size");
	}
};

# One checkout a second, of 1 ms, that is said to have waited for ten seconds each time.
subtest 'waits that there cannot be' => sub {
	replay($node,
		['timer', 1440, busy => 0.001, max_busy => 1, connections => 1, transactions => 60]);
	query($node, "SELECT replay_arrivals('timer', " . arrivals(1, 0, 0.99, 9.999) . ')');
	like(
		simulated('calibration', "'timer'"),
		qr/^off: .* simulated are 0\.0000 s and 0\.00 %$/,
		'are not explained'
	);
	is(
		query(
			$node,
			"SET statement_timeout = '10 min'; SELECT model, proposed_ceiling FROM pool_monitor.fit() WHERE pool = 'timer'"
		),
		'simulated, off|10',
		'fit() leaves it as it is'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
