# fit() and the advice simulate where Erlang's formulas are known to be wrong: by measured
# bursts, reported waits, or the time at the ceiling. Needs a past.
use strict;
use warnings FATAL => 'all';
use List::Util qw(min);
use PoolMonitor;
use PoolMonitorAdvice;
use PoolMonitorRepair;
use Test::More;

my $node = advice_server('simulated_waits');
pools($node, row('web', pool_size => 10, max_overflow => 0));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'web'",
	'the pool has a history'
);
query($node,
	"SELECT count(replay_holds('web', (-500000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
);

# An hour of 10 checkouts a second, each for 0.5 s: a load of 5. Dispersion of the arrivals,
# share of time at the ceiling, and what clients report of each minute.
sub past
{
	my ($dispersion, $exhausted, @reported) = @_;
	my $squares = int(10 * 600 + $dispersion * 10 * 59);
	@reported = (0, 0, 0, 0) unless @reported;
	replay(
		$node,
		[
			'web', 1440,
			busy         => 5,
			max_busy     => 10,
			connections  => 10,
			transactions => 600,
			exhausted    => $exhausted
		]
	);
	query($node, "SELECT replay_arrivals('web', 60, $squares, " . join(', ', @reported) . ')');
	return;
}

sub fitted
{
	my ($columns) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.fit() AS f WHERE pool = 'web'");
}

my $chance = query($node, 'SELECT pool_monitor.erlang_c(10, 5)');
my $erlang = 'abs(waiting - pool_monitor.mean_queue(10, avg_busy)) < 1e-9';
my $size;

subtest 'at random: Erlang' => sub {
	past(1, $chance);
	is(fitted("model, $erlang"), 'Erlang|t', 'fit() goes by it');
	$size = fitted('proposed_ceiling');
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/; Erlang C says/,
		'and so does the advice'
	);
	past(2.7, $chance);
	is(fitted('model'), 'Erlang', 'also when they are a bit uneven');
};

subtest 'in bursts: simulated' => sub {
	past(3.3, 0.1);
	is(fitted('model'), 'simulated', 'from a factor of 3 on');
	past(20, 0.3);
	is(
		fitted(
			'model, waiting > 3 * pool_monitor.mean_queue(10, avg_busy), proposed_waiting < waiting / 5, proposed_timeouts <= timeouts'
		),
		'simulated|t|t|t',
		'far more wait'
	);
	cmp_ok(fitted('proposed_ceiling'), '>', $size, 'so more is proposed');
	my $waiting = query($node,
		"SELECT waiting BETWEEN s.low AND s.high FROM pool_monitor.waits_simulated('web', '1 day', 10, 0) AS w, (SELECT waiting_low * 0.75, waiting_high * 1.25 FROM pool_monitor.simulate('web')) AS s(low, high)"
	);
	is($waiting, 't', 'as simulate() has it, which takes its time');
	is(
		query($node, "SELECT count(*) FROM pool_monitor.waits_simulated('web', '1 month', 10, 0)"),
		1,
		'of a month, as far as there is one'
	);
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/; Erlang's model disagrees with what was seen; simulated from what was measured, \S+ % of the checkouts wait and \S+ % time out, with what is proposed \S+ % and \S+ %$/,
		'and the advice says what is to be had'
	);
	my $minute =
	  "(SELECT max(bucket_start) - interval '2 min' FROM pool_monitor.history('web', '1 minute'))";
	my $squares = 10 * 600 + 20 * 10 * 59;
	query($node, "SELECT replay_arrivals('web', 60, $squares, 60, 0, 0, 0, $minute)");
	is(fitted('model'), 'simulated', 'whatever a few of the 864,000 checkouts are reported to do');
	query($node, "SELECT replay_arrivals('web', 60, $squares, 600, 0, 0, 0)");
	is(fitted('model'), 'simulated, off', 'but not what all are');
	past(20, 0.3);
};

sub refused
{
	my ($pool, $sizes, $why) = @_;
	my (undef, undef,  $err) = $node->psql('postgres',
		"SET statement_timeout = '30 s'; SELECT * FROM pool_monitor.waits_simulated('$pool', '1 day', $sizes)"
	);
	like($err, qr/ERROR:  $why/, "$pool $sizes");
	return;
}

subtest 'sizes that none can have' => sub {
	refused('web', '-1, 0',     'pool_size must be between 0 and 100000, not -1');
	refused('web', '100001, 0', 'pool_size must be between 0 and 100000, not 100001');
	refused('web', '10, -2',    'max_overflow must be between -1 and 100000, not -2');
	refused(
		'web',
		'100000, 2147483647',
		'max_overflow must be between -1 and 100000, not 2147483647'
	);
	is(
		query(
			$node,
			"SELECT count(*) FROM pool_monitor.waits_simulated('web', '1 day', 0, -1) WHERE proposed_waiting = 0"
		),
		1,
		'unbounded is one'
	);
};

subtest 'as clients report' => sub {
	past(1, $chance, 600, int(600 * $chance), 10, 0);
	is(fitted("model, $erlang"), 'Erlang|t', 'what Erlang says, too');
	past(2.7, 0.06, 600, 75, 20, 0);
	is(fitted('model'), 'simulated', 'more than three times as much');
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/; measured, as .* checkouts 1[23] % waited.*; simulated from what was measured/,
		'what was measured goes first'
	);
	past(1, $chance, 600, 300, 150, 0);
	is(fitted('model'), 'simulated, off', 'what the simulation cannot explain either');
	is(
		fitted(
			'proposed_ceiling = ceiling, waiting, timeouts, proposed_waiting, proposed_timeouts'),
		't||||',
		'for which no size is known to be better than the one it has'
	);
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/ 0 timed out besides$/,
		'of which the advice makes nothing'
	);
	past(1, $chance, 600, int(600 * $chance), 600, 0);
	is(fitted('model'), 'simulated, off', 'nor that those that wait do so for far longer');
	past(1, 0.3, 600, 0, 0, 0);
	is(fitted('model'), 'simulated, off', 'nor that nobody waits where the server saw it full');
	past(1, $chance, 600, 590, 3000, 600);
	is(fitted('model'), 'simulated, off', 'nor time-outs that the server has seen no load of');
	past(1, 0.9, 600, 590, 3000, 600);
	is(fitted('model'), 'simulated, off', 'nor so many of them');
};

subtest 'more time-outs than its processes can have callers for' => sub {
	past(1, $chance);
	my $minute =
	  "(SELECT max(bucket_start) - interval '2 min' FROM pool_monitor.history('web', '1 minute'))";
	query($node, "SELECT replay_arrivals('web', 60, 6590, 600, 0, 0, 50000, $minute)");
	my $timeouts =
	  query($node, q{SELECT timeouts FROM pool_monitor.simulate('web', span => '1 hour')});
	cmp_ok($timeouts, '<=', 3000, 'are not all taken for load: 1,000 at once, for 30 s each');
	cmp_ok($timeouts, '>',  1000, 'but those are');
};

subtest 'a pool that is larger than its load seems to need' => sub {
	pools($node, row('web', pool_size => 20, max_overflow => 0));
	past(1, 0, 600, 1, 0, 0);
	cmp_ok(fitted('proposed_ceiling'), '<', 20, 'gives some back');
	past(1, 0, 600, 300, 150, 0);
	is(
		fitted('model, proposed_ceiling'),
		'simulated, off|20',
		'but not where nobody knows why its clients wait'
	);
	pools($node, row('web', pool_size => 10, max_overflow => 0));
};

subtest 'a pool with overflow' => sub {
	my $sizes = 'model, proposed_pool_size, proposed_max_overflow';
	pools($node, row('web', pool_size => 2, max_overflow => 8));
	past(1, 0, 600, 300, 150, 0);
	is(fitted($sizes), 'simulated, off|2|8', 'keeps what it has where nothing is known of it');
	past(20, 0.3);
	my $proposed = fitted($sizes);
	like($proposed, qr/^simulated\|10\|[1-9]/, 'or is to keep what most minutes need');
	my (undef, $base, $overflow) = split /\|/, $proposed;
	pools($node, row('web', pool_size => $base, max_overflow => $overflow));
	is(fitted($sizes), $proposed, 'for which it proposes the same, once it has it');
	past(20, 0);
	is(fitted("$sizes, waiting = proposed_waiting"),
		"$proposed|t", 'and by what it then has been through');
	pools($node, row('web', pool_size => 2, max_overflow => -1, budget => 30));
	past(20, 0, 600, 300, 150, 0);
	is(
		fitted("model, proposed_pool_size, proposed_ceiling"),
		'simulated, off|2|30',
		'and where it has no bound, its budget'
	);
	pools($node, row('web', pool_size => 10, max_overflow => 0));
};

subtest 'by the time at the ceiling' => sub {
	past(1, 0.5);
	is(fitted('model'), 'simulated, off', 'for which there is no explanation at all');
	like(
		advice($node, 'evidence', 'exhausted of web'),
		qr/; Erlang's model is withheld: /,
		'the advice says so'
	);
};

# 16 callers, each of which thinks for 0.4 s.
sub past_of_callers
{
	my ($connections) = @_;
	my ($rate, $full, $waiting, $wait) = repaired(16, $connections, 0.5, 0.4);
	my $checkouts = int(60 * $rate);
	replay(
		$node,
		[
			'web', 1440,
			busy         => 0.5 * $rate,
			max_busy     => min(16, $connections),
			connections  => $connections,
			transactions => $checkouts,
			exhausted    => $connections < 16 ? $full : 0
		]
	);
	my $squares = int($rate**2 * 60 + 0.6 * $rate * 59);
	query($node,
		"SELECT replay_arrivals('web', 60, $squares, $checkouts, @{[int($waiting * $checkouts)]}, @{[$wait * $checkouts]}, 0)"
	);
	return;
}

# As many as there are wait, or not: no queue grows without end.
subtest 'callers that wait for an answer before they ask again' => sub {
	past_of_callers(10);
	my $proposed = fitted('model, proposed_ceiling');
	my ($size) = $proposed =~ /^simulated\|(1[1-6])$/;
	ok($size, "no more connections than callers: $proposed") or return;
	my ($is) = map { $_->[0] * $_->[3] } [repaired(16, 10, 0.5, 0.4)];
	is(fitted("abs(waiting - $is) < 0.2 * $is, proposed_waiting < waiting / 10"),
		't|t', 'so many wait')
	  or diag fitted('waiting');
	my @sizes = ($size);
	while (@sizes < 2 || (@sizes < 5 && $sizes[-1] != $sizes[-2]))
	{
		pools($node, row('web', pool_size => $sizes[-1], max_overflow => 0));
		past_of_callers($sizes[-1]);
		push @sizes, fitted('proposed_ceiling');
	}
	is($sizes[-1], $sizes[-2], 'with what it proposes it comes to the same: ' . join ', ', @sizes);
	cmp_ok($sizes[-1], '<=', 16, 'which is no more than there are');
	pools($node, row('web', pool_size => 10, max_overflow => 0));
};

# Nothing is laid out for each process of it.
subtest 'more processes than there can be connections' => sub {
	pools(
		$node,
		row('web',  pool_size => 10,     max_overflow => 0),
		row('most', servers   => 10_000, workers => 10_000, pool_size => 0, max_overflow => -1)
	);
	past(20, 0.3);
	replay($node,
		['most', 1440, busy => 5, max_busy => 10, connections => 10, transactions => 600]);
	query($node, "SELECT replay_arrivals('most', 60, 20 * 10 * 60, 0, 0, 0, 0)");
	query($node,
		"SELECT count(replay_holds('most', (-500000 * ln((i - 0.5) / 2000))::bigint, 1)) FROM generate_series(1, 2000) AS i"
	);
	is(
		query(
			$node,
			"SELECT string_agg(pool || ' ' || model || ' ' || quality, '; ' ORDER BY pool) FROM pool_monitor.fit()"
		),
		'most Erlang good; web simulated good',
		'fit() goes by the formula for it, and simulates others'
	);
	refused(
		'most',
		'1, 0',
		'all processes together, as asked for, must have at most 262143 connections, not 100000000'
	);
	is(query($node, "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'exhausted'"),
		1, 'and there is advice');
};

# What is read at a prompt does not take longer with more pools.
subtest 'of eight pools at once' => sub {
	my @names = map { "b$_" } 1 .. 9;
	pools($node, map { row($_, pool_size => 10, max_overflow => 0) } @names);
	wait_for(
		$node,
		"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool LIKE 'b_'",
		'they have a history', 9
	);
	query($node,
		"SELECT count(replay_holds('$_', (-500000 * ln((i - 0.5) / 2000))::bigint, 1)) FROM generate_series(1, 2000) AS i"
	) foreach @names;
	replay(
		$node,
		map {
			[
				$_, 1440,
				busy         => 5,
				max_busy     => 10,
				connections  => 10,
				transactions => 600,
				exhausted    => 0.1
			]
		} @names
	);
	query($node, "SELECT replay_arrivals('$_', 60, 8360, 0, 0, 0, 0)") foreach @names;
	is(query($node, "SELECT count(*) FROM pool_monitor.fit() WHERE model LIKE 'simulated%'"),
		8, 'fit() simulates no more');
	is(
		query(
			$node,
			"SELECT count(*), count(*) FILTER (WHERE evidence ~ 'simulated from') FROM pool_monitor.advice WHERE topic = 'exhausted'"
		),
		'9|8',
		'nor does the advice'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
