# fit(): sizes for all pools at once, from a past that is replayed into the history, against
# every combination of sizes that there is. Regress has no past. PM_SEED has other estates.
use strict;
use warnings FATAL => 'all';
use List::Util qw(max);
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $seed = $ENV{PM_SEED} // 9;
srand $seed;
note "PM_SEED=$seed";

my $node = advice_server('fit');

sub any_of { return $_[int rand @_] }

# A pool that was so busy for a day: on average, and at most in each minute.
sub pool
{
	my ($name, $busy, $most, %columns) = @_;
	my $workers = $columns{workers} // 1;
	return {
		name => $name,
		row  => row($name, pool_size => 5, max_overflow => 0, %columns),
		past => [
			$name, 1440,
			busy            => $busy,
			max_busy        => $most,
			connections     => $most,
			max_connections => $most,
			transactions    => 6000
		]
	};
}

sub estate
{
	my (@pools) = @_;
	pools($node, map { $_->{row} } @pools);
	replay($node, map { $_->{past} } grep { $_->{past} } @pools);
	return;
}

subtest 'idle ones are found together, and give way to who needs it' => sub {
	estate((map { pool("idle$_", 0.06, 1) } 1 .. 4),
		pool('web', 10, 12, pool_size => 10, max_overflow => 2));
	is(
		query(
			$node,
			"SELECT sum(ceiling), round(sum(avg_busy)::numeric, 1), sum(proposed_ceiling), sum(freed) FROM pool_monitor.fit() WHERE pool LIKE 'idle%'"
		),
		'20|0.2|8|12',
		'20 connections for 0.24 busy: eight would do'
	);
	is(
		query(
			$node,
			'SELECT pool, proposed_pool_size, proposed_max_overflow, proposed_ceiling, freed, quality FROM pool_monitor.fit(24)'
		),
		join("\n", map({ "idle$_|1|0|1|4|good" } 1 .. 4), 'web|12|8|20|-8|good'),
		'where it is scarce they have one each; the others get what is left, those that give the most first'
	);
	is(
		query(
			$node,
			"SELECT waiting > proposed_waiting, timeouts >= proposed_timeouts, proposed_timeouts < 1e-6 FROM pool_monitor.fit(24) WHERE pool = 'web'"
		),
		't|t|t',
		'where fewer wait than before'
	);
	is(
		query(
			$node, "SELECT abs(waiting - pool_monitor.mean_queue(12, avg_busy)) < 1e-9,
			abs(timeouts - pool_monitor.timeout_probability(12, avg_busy, avg_busy / 100, 30)) < 1e-9 FROM pool_monitor.fit(24) WHERE pool = 'web'"
		),
		't|t',
		'by the queueing functions'
	);
	is(query($node, 'SELECT sum(proposed_ceiling) FROM pool_monitor.fit(5)'),
		16, 'never less than 95 % of the minutes needed, whatever the budget');
	is(
		query(
			$node,
			'SELECT sum(f.proposed_ceiling) = sum(g.proposed_ceiling) FROM pool_monitor.fit() AS f, pool_monitor.fit(65) AS g WHERE f.pool = g.pool'
		),
		't',
		'without a budget it is the server\'s'
	);
};

subtest 'who was not measured keeps what it has' => sub {
	my $fresh =
	  {name => 'fresh', row => row('fresh', workers => 2, pool_size => 7, max_overflow => 1)};
	estate(
		$fresh,
		pool('open', 2,  6,  pool_size => 4, max_overflow => -1),
		pool('web',  10, 12, workers   => 2)
	);
	is(
		query(
			$node,
			"SELECT pool, ceiling, proposed_ceiling, proposed_pool_size IS NULL, waiting IS NULL, proposed_waiting IS NULL, quality FROM pool_monitor.fit(40) ORDER BY pool"
		),
		"fresh|16|16|t|t|t|not enough data\nopen|6|6|f|t|f|good\nweb|10|18|f|f|f|good",
		'its ceiling is not for the others; what is unbounded has what was seen'
	);
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM pool_monitor.fit(0)');
	like($err, qr/connection_budget must be between 1 and 262143, not 0/, 'no budget is none');
};

# Busy in an hour of the day alone, when it is more than it is in 95 % of the minutes.
subtest 'a peak is no measure, an average is' => sub {
	estate(pool('peak', 0.5, 1, pool_size => 70));
	replay(
		$node,
		[
			'peak', 60,
			busy            => 60,
			max_busy        => 60,
			connections     => 60,
			max_connections => 60,
			transactions    => 6000
		]
	);
	is(query($node, 'SELECT p95_busy, proposed_ceiling FROM pool_monitor.fit(1)'),
		'1|1', 'the least is what 95 % of the minutes needed');
	is(query($node, 'SELECT avg_busy > 2, proposed_ceiling > avg_busy FROM pool_monitor.fit()'),
		't|t', 'who waits without an end comes first');
};

# Four processes of the one gain more by a step than the other does, but that is four times as
# large.
subtest 'the gain counts for each connection' => sub {
	estate(pool('four', 2.6, 4, workers => 4), pool('one', 8, 9));
	is(query($node, 'SELECT pool, proposed_ceiling FROM pool_monitor.fit(17) ORDER BY pool'),
		"four|4\none|13", 'the other gets what is left');
};

subtest 'no more than the server has' => sub {
	estate(pool('huge', 60, 65, workers => 10));
	cmp_ok(query($node, 'SELECT proposed_ceiling FROM pool_monitor.fit(200)'),
		'>', 79, 'a large pool');
	$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 200\n");
	$node->reload;
	wait_for(
		$node,
		'SELECT connection_budget FROM pool_monitor.server',
		'a budget that is larger than the server', 200
	);
	is(query($node, 'SELECT proposed_ceiling FROM pool_monitor.fit()'), 70, 'is not given out');
	$node->append_conf('postgresql.conf', "pool_monitor.connection_budget = 65\n");
	$node->reload;
};

subtest 'what nobody declared takes its room' => sub {
	estate(pool('huge', 30, 35, workers => 10));
	my $answer   = 'SELECT proposed_ceiling FROM pool_monitor.fit(CONNECTIONS)';
	my $fit      = sub { return query($node, $answer =~ s/CONNECTIONS/$_[0]/r) };
	my $stranger = app_holder($node, 'stranger', 25);
	is($fit->(''), $fit->(79 - 26), 'what they leave of 79, with this session');
	isnt($fit->(''), $fit->(65), 'which is less than the budget');
	$stranger->close;
};

# Of all combinations of sizes from the least on that the budget allows, the best.
my $exhaustive = <<'EOS';
WITH RECURSIVE f AS MATERIALIZED (
	SELECT row_number() OVER () AS i, processes, avg_busy / processes AS load, proposed_ceiling / processes AS size,
		greatest(ceil(p95_busy / processes::float8), 1)::int AS least, proposed_waiting
	FROM pool_monitor.fit(BUDGET)
),
sizes AS MATERIALIZED (
	SELECT i, c, processes * c AS connections, processes * pool_monitor.mean_queue(c, load) AS waiting
	FROM f, generate_series(least, least + 25) AS c WHERE processes * c <= BUDGET
),
combinations AS (
	SELECT 0::bigint AS i, 0::bigint AS connections, 0::float8 AS waiting
	UNION ALL
	SELECT s.i, b.connections + s.connections, b.waiting + s.waiting
	FROM combinations AS b JOIN sizes AS s ON s.i = b.i + 1
	WHERE b.connections + s.connections <= BUDGET
)
SELECT (SELECT sum(processes * size) FROM f), (SELECT sum(proposed_waiting) FROM f), min(waiting), count(*),
	(SELECT max(processes) FROM f), (SELECT sum(processes * least) FROM f)
FROM combinations WHERE i = (SELECT max(i) FROM f)
EOS

subtest 'against every combination' => sub {
	my ($worst, $same, $estates, $tried) = (0, 0, 0, 0);
	foreach my $i (1 .. 12)
	{
		my $single = $i <= 6;
		estate(
			map {
				my $workers = $single ? 1 : any_of(1, 2, 3, 4);
				my $busy    = any_of(0.1, 0.5, 1, 2.5, 4) * $workers;
				pool("p$_", $busy, int($busy * any_of(1, 1.3)) + 1, workers => $workers)
			} 1 .. any_of(2, 3)
		);
		my $least = query($node,
			'SELECT sum(greatest(ceil(p95_busy / processes::float8), 1) * processes) FROM pool_monitor.fit()'
		);
		foreach my $more (2, 5, 9)
		{
			my $budget = $least + $more;
			my ($sum, $got, $best, $n) = split /\|/,
			  query($node, $exhaustive =~ s/BUDGET/$budget/gr);
			cmp_ok($sum, '<=', $budget, "estate $i, $budget connections: within the budget");
			$estates++;
			$tried += $n;

			# what is not worth a connection is left; 25 steps of 0.001 are more than that
			next    if $best eq 'Infinity';
			$same++ if $got <= $best + 0.025;
			if ($single)
			{
				cmp_ok($got, '<=', $best + 0.025, 'steps of one connection: the best there is');
			}
			else { $worst = max($worst, ($got - $best) / max($best, 0.025)) }
		}
	}
	note sprintf '%d of %d as good as the best of %d combinations; at worst %.0f %% more wait',
	  $same, $estates, $tried, 100 * $worst;
	cmp_ok($worst, '<', 2, 'steps of several: not far from it');
};

subtest 'what it proposes is what it would propose again' => sub {
	my @pools =
	  (pool('a', 0.3, 2, workers => 2), pool('b', 6, 9), pool('c', 2, 3, pool_size => 10));
	estate(@pools);
	my $answer =
	  'SELECT pool, proposed_pool_size + proposed_max_overflow, proposed_ceiling FROM pool_monitor.fit(20) ORDER BY pool';
	my $first = query($node, $answer);
	declare(
		$node,
		join ';',
		map {
			my ($pool, $size) = split /\|/;
			"UPDATE pool_monitor.pools SET pool_size = $size, max_overflow = 0 WHERE name = '$pool'"
		} split /\n/,
		$first
	);
	is(query($node, $answer), $first, 'with the sizes that it gave');
	is(query($node, 'SELECT sum(freed) FROM pool_monitor.fit(20)'),
		0, 'there is nothing to give back');
};

subtest 'what it keeps open' => sub {
	estate(
		pool('s', 3,  6,  workers   => 2,  pool_size    => 2, max_overflow => 1),
		pool('f', 10, 12, pool_size => 10, max_overflow => 0)
	);
	my $answer =
	  'SELECT pool, proposed_pool_size, proposed_max_overflow FROM pool_monitor.fit(50) ORDER BY pool';
	my %sizes = map { /^(\w)\|(.*)$/ ? ($1 => [split /\|/, $2]) : () } split /\n/,
	  query($node, $answer);
	is($sizes{f}[1], 0, 'all, where nothing is overflow');
	is($sizes{s}[0], 6, 'else what each process needs in most minutes');
	cmp_ok($sizes{s}[1], '>', 0, 'the rest is overflow');
	my $first = query($node, $answer);
	declare(
		$node,
		join ';',
		map {
			"UPDATE pool_monitor.pools SET pool_size = $sizes{$_}[0], max_overflow = $sizes{$_}[1] WHERE name = '$_'"
		} sort keys %sizes
	);
	is(query($node, $answer), $first, 'and with that it proposes the same');
};

subtest 'what undeclared ones have held in the last day leaves no room' => sub {
	my $most  = 'SELECT pool_monitor.undeclared_most()';
	my @pools = (pool('a', 22, 24, workers => 2), pool('b', 20, 22));
	my $past  = sub {
		replay(
			$node,
			map({ $_->{past} } @pools),
			['(undeclared)', 60, connections => 30, max_connections => 30]
		);
	};
	my $is_forgotten = sub {
		my ($what) = @_;
		return cmp_ok(query($node, $most), '<', 30, $what);
	};
	my $is_known = sub {
		my ($what) = @_;
		is(query($node, $most), 30, $what);
		return is(
			query(
				$node,
				'SELECT array_agg(DISTINCT sum) FROM (SELECT (SELECT sum(proposed_ceiling) FROM pool_monitor.fit(n)) FROM unnest(ARRAY[NULL, 79 - 30]) AS n) AS f'
			),
			'{49}',
			'and the rest of 79 is given'
		);
	};

	# A minute that begins after they are declared is none of before; declared once more they
	# are new only where they were none in between.
	my $then = in_one_minute(
		$node,
		sub {
			forget($node, '(undeclared)');
			pools($node);
			estate(@pools);
			$past->();
			return query($node, $most);
		}
	);
	cmp_ok($then, '<', 30, 'not what was before a pool was declared: it may be that');
	$node->stop;
	unlink $node->data_dir . '/pg_stat/pool_monitor.stat' or die "unlink: $!";
	$node->start;
	wait_for($node, 'SELECT pool_monitor.declarations_loaded()', 'loaded after a start');
	$past->();
	$is_known->('a start of the server, which knows of no load before, is none of a new pool');
	query($node, 'SELECT pool_monitor.reload()');
	$is_known->('nor does a reload');
	declare($node, "UPDATE pool_monitor.pools SET pool_size = 6 WHERE name = 'a'");
	$is_known->('nor another size');
	declare($node, "UPDATE pool_monitor.pools SET application_name = 'another' WHERE name = 'b'");
	$is_forgotten->('but what it matches does');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
