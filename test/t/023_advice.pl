# Advice on a real server: each finding appears where it should, with its numbers, and
# stays silent where it should not. Regress has no past: those of hours and days are
# replayed into the history by a library of the tests (test/modules).
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node    = advice_server('advice');
my $numbers = 'severity, setting, current, proposed, quality';

subtest 'the declared table against a server of 79 with a budget of 65' => sub {
	foreach (
		[3, 6,  8,  42, 'ok'],
		[3, 8,  10, 54, 'ok'],
		[3, 10, 15, 75, 'overcommitted'],
		[2, 6,  8,  28, 'ok'],
		[4, 5,  8,  52, 'ok']
	  )
	{
		my ($workers, $size, $overflow, $ceiling, $status) = @$_;
		pools($node, row('t', workers => $workers, pool_size => $size, max_overflow => $overflow));
		is(
			$node->safe_psql(
				'postgres',
				'SELECT usable, connection_budget, declared_ceiling, status FROM pool_monitor.server'
			),
			"79|65|$ceiling|$status",
			"$workers x ($size + $overflow)"
		);
	}
};

subtest 'exhausted: one step up, never past the budget of the server' => sub {
	my @sat = (
		busy            => 36,
		max_busy        => 42,
		connections     => 42,
		max_connections => 42,
		transactions    => 50000
	);
	pools($node, row('sat', workers => 3, pool_size => 6, max_overflow => 8));
	replay($node, ['sat', 60, @sat, overflow => 0.4, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of sat'),
		'critical|max_overflow|8|15|good',
		'exhausted for 30 % of an hour: half as much again'
	);

	# the average sinks with each second since the replay, and what Erlang says with it
	my $evidence = advice($node, 'evidence', 'exhausted of sat');
	my ($share, $busy, $one, $each) =
	  $evidence =~
	  qr/ceiling of 42 for (\d+) % of the last hour; busy (\d+\.\d\d) on average, 42 at most; Erlang C says (\d+) % \(one queue\) to (\d+) % \(one for each process\) of the checkouts wait, up to (?:0|<0\.01) % for longer than pool_timeout 00:00:30/
	  or die "no evidence: $evidence\n";
	ok($share >= 25 && $share <= 30 && $busy >= 30 && $busy <= 36, 'with what was measured')
	  or diag("$share %, busy $busy");
	is(
		$node->safe_psql(
			'postgres',
			"SELECT abs(100 * pool_monitor.erlang_c(42, $busy) - $one) <= 1, abs(100 * pool_monitor.erlang_c(14, $busy / 3) - $each) <= 1"
		),
		't|t',
		'beside what Erlang says of it'
	);
	is(
		advice(
			$node,
			"seen BETWEEN interval '55 min' AND interval '62 min', effective_samples BETWEEN 55 AND 62",
			'exhausted of sat'
		),
		't|t',
		'and how much was seen'
	);
	replay($node, ['sat', 60, @sat, overflow => 0.9, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of sat'),
		'critical|pool_size|6|13|good',
		'above base for most of the time: pool_size'
	);
	replay(
		$node,
		['sat', 1000, @sat, overflow => 0.4, exhausted => 0.05],
		['sat', 60,   connections => 18, max_connections => 18, transactions => 100]
	);
	is(
		advice($node, $numbers, 'exhausted of sat'),
		'warning|max_overflow|8|11|good',
		'exhausted for 5 % of a day, not in the last hour: a smaller step'
	);
	like(
		advice($node, 'evidence', 'exhausted of sat'),
		qr/% of 1\d:\d\d:\d\d seen of the last day;/,
		'and says of which time, which is not a whole day'
	);
	pools(
		$node,
		row('sat',   workers   => 3,  pool_size    => 6, max_overflow => 8),
		row('other', pool_size => 20, max_overflow => 0)
	);
	replay($node, ['sat', 60, @sat, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of sat'),
		'critical|max_overflow|8|9|good',
		'as far as there is room'
	);
	pools(
		$node,
		row('sat',   workers   => 3,  pool_size    => 6, max_overflow => 8),
		row('other', pool_size => 23, max_overflow => 0)
	);
	replay($node, ['sat', 60, @sat, exhausted => 0.3]);
	is(advice($node, $numbers, 'exhausted of sat'),
		'critical||||good', 'no number where there is no room');
	like(advice($node, 'recommendation', 'exhausted of sat'), qr/no room/, 'which it says');
	pools($node, row('sat', workers => 3, pool_size => 6, max_overflow => 8, budget => 42 + 3));
	replay($node, ['sat', 60, @sat, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of sat'),
		'critical|max_overflow|8|9|good',
		'nor past the pool\'s own budget'
	);
	pools($node,
		map { row($_, workers => 3, pool_size => 6, max_overflow => 8, budget => 1000) } 'brief',
		'single', 'odd', 'rare');
	replay($node, ['brief', 20, @sat, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of brief'),
		'critical||||not enough data',
		'twenty minutes are not enough for a number'
	);
	replay($node, ['single', 60, @sat, transactions => 0, exhausted => 0.3]);
	is(
		advice($node, $numbers, 'exhausted of single'),
		'critical||||not enough data',
		'nor is an hour without the end of a transaction'
	);
	replay($node, ['odd', 60, @sat, busy => 2, exhausted => 0.3]);
	like(
		advice($node, 'evidence', 'exhausted of odd'),
		qr/(?:2\d|30) % of the last hour.*model is withheld/,
		'where the model is far from what was measured, it is withheld'
	);
	replay($node, ['rare', 60, @sat, exhausted => 0.005]);
	is(advice($node, 'count(*)', 'exhausted of rare'), 0, 'half a percent of the time: silent');
};

subtest 'overflow that comes and goes' => sub {
	my @churn =
	  (connections => 4, max_connections => 8, busy => 2, max_busy => 6, transactions => 5000);
	pools($node, row('churn', pool_size => 2, max_overflow => 10));
	replay($node, ['churn', 600, @churn, connects => 40, disconnects => 40, overflow => 0.3]);
	is(
		advice($node, $numbers, 'overflow of churn'),
		"warning|max_overflow|10|6|good\nwarning|pool_size|2|6|good",
		'churn: the pool_size that 95 % of the minutes need'
	);
	like(
		advice($node, 'recommendation', 'overflow of churn'),
		qr/pool_size to 6 and lower max_overflow to 6/,
		'with the same ceiling'
	);
	query($node, q{SELECT replay_use('churn', 600, 500, 4, 4)});
	is(
		advice($node, $numbers, 'overflow of churn'),
		"warning|max_overflow|10|0|good\nwarning|pool_size|2|12|good",
		'or that clients need, who have connections for twice as long as in transactions'
	);
	like(
		advice($node, 'evidence', 'overflow of churn'),
		qr/no more than 6 busy, which is 50 % of the time for which checkouts have their connection/,
		'which it says'
	);
	query($node, q{SELECT replay_use('churn', 600, 500, 3, 4)});
	is(advice($node, 'max(proposed)', "overflow of churn' AND setting = 'pool_size"),
		9, 'not more than that');
	replay($node, ['churn', 600, @churn, overflow => 0.3]);
	is(advice($node, 'count(*)', 'overflow of churn'), 0, 'overflow that stays open: silent');
	replay($node, ['churn', 600, @churn, connects => 40, disconnects => 40, overflow => 0.01]);
	is(advice($node, 'count(*)', 'overflow of churn'), 0, 'rare overflow: silent');
};

subtest 'idle' => sub {
	my @idle =
	  (connections => 60, max_connections => 60, busy => 2, max_busy => 5, transactions => 5000);
	pools($node, row('idle', pool_size => 60, max_overflow => 0));
	replay($node, ['idle', 1300, @idle]);
	is(
		advice($node, $numbers, 'idle of idle'),
		'info|pool_size|60|7|good',
		'a quarter above the 95th percentile'
	);
	replay($node, ['idle', 1300, @idle, max_busy => 45]);
	is(advice($node, 'count(*)', 'idle of idle'), 0, 'a pool that is used now and then: silent');
	replay($node, ['idle', 1100, @idle]);
	is(advice($node, 'count(*)', 'idle of idle'), 0, 'less than a day seen: silent');
};

subtest 'flat at its base for days, with a low busy peak: nothing at all to say' => sub {
	my @flat =
	  (connections => 18, max_connections => 18, busy => 0.3, max_busy => 3, transactions => 500);
	pools($node, row('flat', workers => 3, pool_size => 6, max_overflow => 8));
	replay($node, ['flat', 1440, @flat]);
	is(
		$node->safe_psql(
			'postgres', "SELECT count(*) FROM pool_monitor.advice WHERE pool = 'flat'"
		),
		0,
		'a pool at rest: silent'
	);
	replay($node, ['flat', 1440, @flat], ['(server)', 1440, @flat, refused => 1]);
	is(advice($node, $numbers, 'idle of flat'),
		'info|pool_size|6|3|good', 'but not when logins are refused');
	replay($node, ['flat', 1440, @flat], ['(server)', 1440, @flat]);
};

# A replay is longer than the one before, all of which it is to replace when a minute turns.
subtest 'declared and observed' => sub {
	pools($node, row('above', workers => 2, pool_size => 5, max_overflow => 0));
	replay($node, ['above', 60, max_connections => 15]);
	is(advice($node, $numbers, 'declaration of above'),
		'warning|workers|2|3|exact', 'a third worker');
	replay($node, ['above', 65, max_connections => 12]);
	is(advice($node, 'count(*)', 'declaration of above'),
		0, 'one of each process begins before its predecessor is gone: silent');
	replay($node, ['above', 70, max_connections => 13]);
	is(advice($node, 'proposed', 'declaration of above'), 3, 'one more');
	replay($node, ['above', 75, max_connections => 10]);
	is(advice($node, 'count(*)', 'declaration of above'), 0, 'as declared: silent');

	pools($node, row('open', pool_size => 5, max_overflow => -1));
	is(advice($node, $numbers, 'unbounded of open'), 'warning||||not enough data', 'unbounded');
	replay($node, ['open', 60, max_connections => 20, busy => 1, transactions => 1000]);
	is(advice($node, $numbers, 'unbounded of open'), 'warning||||good', 'an hour gives no bound');
	replay($node, ['open', 1260, max_connections => 20, busy => 1, transactions => 1000]);
	is(
		advice($node, $numbers, 'unbounded of open'),
		'warning|max_overflow|-1|19|good',
		'a bound for what was seen'
	);
	pools($node, row('open', pool_size => 5, max_overflow => 19));
	is(advice($node, 'count(*)', 'unbounded of open'), 0, 'bounded: silent');
};

subtest 'overcommitted, and which pool to lower' => sub {
	pools(
		$node,
		row('big',   workers   => 3, pool_size    => 10, max_overflow => 15),
		row('small', pool_size => 5, max_overflow => 5)
	);
	replay(
		$node,
		[
			'big', 1440,
			connections     => 30,
			max_connections => 36,
			busy            => 5,
			max_busy        => 8,
			transactions    => 1000
		],
		['small', 1440, connections => 5, max_connections => 10, busy => 5, transactions => 1000]
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT pool, severity, setting, current, proposed FROM pool_monitor.advice WHERE topic = 'overcommitted'"
		),
		"|warning|max_connections|82|88\n|warning|pool_monitor.connection_budget|65|85\nbig|info|max_overflow|15|2",
		'overcommitted: what would be needed, and which pool has slack'
	);
	pools($node, row('big', workers => 3, pool_size => 6, max_overflow => 8));
	is(
		$node->safe_psql(
			'postgres', "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'overcommitted'"
		),
		0,
		'it fits: silent'
	);
};

subtest 'what the declaration alone says' => sub {
	pools(
		$node,
		row('old', pool_recycle => "'31 min'", pre_ping => 'false', recycle_mode => "'terminate'"),
		row('never', pool_recycle => 'NULL',        pre_ping => 'false'),
		row('good',  recycle_mode => "'terminate'", usename  => "'app'")
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT pool, setting, current, proposed FROM pool_monitor.advice WHERE topic = 'pool_recycle' ORDER BY 1"
		),
		"never|pool_recycle||1800\nold|pool_recycle|1860|1800",
		'pool_recycle above 30 minutes, or none'
	);
	my $item = 'SELECT status, evidence FROM pool_monitor.checklist WHERE item = 2';
	like(query($node, $item), qr/^warn\|2 of 3 pools/, 'and in the checklist');
	app_holder($node, 'never', 1)->close foreach 1 .. 20;
	wait_for(
		$node,
		q{SELECT disconnects FROM pool_monitor.pool_stats WHERE pool = 'never'},
		'connections come and go', 20
	);
	my $told =
	  q{SELECT string_agg(pool, ' ' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'pool_recycle'};
	is(query($node, $told), 'never old', 'of which in some minutes none can get old');
	create_forge($node);
	query($node, q{SELECT forge_reset('never', 3601 * 1000000::bigint)});
	is(query($node, $told), 'old', 'not where in an hour none does');
	like(query($node, $item), qr/^warn\|1 of 3 pools/, 'nor in the checklist');
	is(
		$node->safe_psql(
			'postgres', "SELECT pool FROM pool_monitor.advice WHERE topic = 'pre_ping'"
		),
		'old',
		'retirement without pre_ping, and only that'
	);
	is(
		$node->safe_psql(
			'postgres', "SELECT pool, severity FROM pool_monitor.advice WHERE topic = 'identity'"
		),
		'old|warning',
		'retirement under a name that anybody can bear'
	);
};

subtest 'rights' => sub {
	my ($rc, $out, $err);
	foreach my $view ('advice', 'checklist', 'workload')
	{
		my $sql = "SELECT count(*) FROM pool_monitor.$view";
		($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => ['-U', 'app']);
		like($err, qr/permission denied/, "$view is not for everybody");
		($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => ['-U', 'watcher']);
		is($err, '', "$view is for pg_read_all_stats");
	}
	($rc, $out, $err) = $node->psql(
		'postgres',
		'SELECT count(*) FROM pool_monitor.presets',
		extra_params => ['-U', 'app']
	);
	is($out, 4, 'presets are for everybody');
	pools($node, row('hosts'));
	$node->safe_psql('postgres', 'CREATE DATABASE another');
	$node->safe_psql('another',  'CREATE EXTENSION pool_monitor');
	is(
		$node->safe_psql(
			'another', "SELECT string_agg(pool, ',' ORDER BY pool) FROM pool_monitor.declared()"
		),
		'hosts',
		'advice goes by the declarations in force, in every database'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
