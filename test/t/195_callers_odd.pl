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
	row('timer', pool_size => 10, max_overflow => 0)
);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool NOT LIKE '(%'",
	'the pools have a history', 3
);
query($node,
	"SELECT count(replay_holds('$_', (-$holds{$_} * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
) foreach keys %holds;

my $who = 'callers that wait for their answer before they ask again';

sub simulated
{
	my ($columns, $arguments) = @_;
	return query($node,
		"SET statement_timeout = '120 s'; SELECT $columns FROM pool_monitor.simulate($arguments)");
}

# As arguments of replay_arrivals(): a minute of 60 ticks with such a dispersion.
sub arrivals
{
	my ($rate, $dispersion, $waiting, $wait) = @_;
	my $checkouts = int(60 * $rate);
	my $squares   = int($rate**2 * 60 + $dispersion * $rate * 59);
	return join ', ', 60, $squares, $checkouts, int($waiting * $checkouts), $wait * $checkouts, 0;
}

sub near
{
	my ($is, $expected, $share, $what) = @_;
	cmp_ok(abs($is - $expected), '<=', $share * $expected, "$what: $is, and not $expected");
	return;
}

# 18 callers, who think as long as they have a connection; a day of them is too much for a replay.
subtest 'in parts, as in whole' => sub {
	my ($rate, $full, $waiting, $wait) = repaired(18, 10, 0.1, 0.1);
	replay(
		$node,
		[
			'web', 1440,
			busy         => 0.1 * $rate,
			max_busy     => 10,
			connections  => 10,
			transactions => int(60 * $rate),
			exhausted    => $full
		]
	);
	query($node, "SELECT replay_arrivals('web', " . arrivals($rate, 0.6, $waiting, $wait) . ')');
	foreach my $size (6, 8, 12)
	{
		my @exact   = repaired(18, $size, 0.1, 0.1);
		my $columns = 'waiting, throughput, calibration, share_replayed = 1';
		foreach my $span ('1 hour', '1 day')
		{
			my ($waits, $throughput, $calibration, $whole) = split /\|/,
			  simulated($columns, "'web', pool_size => $size, span => '$span'");
			is($whole, 'f', 'a part of the day') if $span eq '1 day';
			like($calibration, qr/^good: .*; $who: \d+/, 'there are callers');
			near($waits,      $exact[2], 0.1,  "who waits for $size");
			near($throughput, $exact[0], 0.02, 'and the throughput');
		}
	}
	foreach my $load (0.02, 0.5, 1.03)
	{
		my $expected = $load * 18 / 0.2;
		near(simulated('throughput', "'web', pool_size => 50, load => $load"),
			$expected, 0.03, "with a load of $load, which nobody waits for");
	}
	near(simulated('throughput', "'web', load => 5"),
		10 / 0.1, 0.02, 'with one of 5 it does what it can');
	near(simulated('throughput', "'web', load => 1000"),
		10 / 0.1, 0.1, 'and with one of 1,000, in no time to speak of');
	is(simulated('processes, throughput > 0', "'web', workers => 10000"),
		'10000|t', 'some may be in each of 10,000 processes, or none');
	is(simulated('waiting, timeouts', "'web', pool_size => 0, max_overflow => -1"),
		'0|0', 'an unbounded pool has room for all');
	cmp_ok(simulated('timeout_share', "'web', pool_size => 6, pool_timeout => '0'"),
		'>', 0.1, 'who does not wait at all may ask often');
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
	my ($calibration, $few) = split /\|/,
	  simulated('calibration, arrivals < 20 * 86400 * 10', "'timer'");
	like($calibration, qr/^off: .* simulated are 0\.0000 s and 0\.00 %$/, 'are not explained');
	is($few, 't', 'and no more is simulated than there was');
	is(
		query(
			$node,
			"SET statement_timeout = '120 s'; SELECT model, proposed_ceiling FROM pool_monitor.fit() WHERE pool = 'timer'"
		),
		'simulated, off|10',
		'fit() leaves it as it is'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
