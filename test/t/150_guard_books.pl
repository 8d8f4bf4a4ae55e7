# What the guard did is in the books: each view that counts logins which came to nothing has
# those that it refused, or would have, beside those that a full server did. The past is
# replayed into the history by a library of the tests (test/modules).
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use PoolMonitorGuarded;
use Test::More;

my $node = advice_server('guard_books');

subtest 'counted, by whatever one looks at it' => sub {
	pools($node, row('web', workers => 2, pool_size => 5, max_overflow => 0), row('ems'));
	past($node, $_, 60) foreach 'web', 'ems', '(server)', '(undeclared)';
	guarded($node, 'web',          5, guarded => 7, would_be_guarded => 2);
	guarded($node, '(server)',     5, guarded => 9, would_be_guarded => 2);
	guarded($node, '(undeclared)', 5, guarded => 2);
	my $both = 'sum(guarded), sum(would_be_guarded), sum(refused), sum(rejected)';
	is(
		query(
			$node,
			"SELECT pool, $both FROM pool_monitor.history WHERE resolution = '1 minute' GROUP BY 1 ORDER BY pool COLLATE \"C\""
		),
		"(server)|45|10|0|0\n(undeclared)|10|0|0|0\nems|0|0|0|0\nweb|35|10|0|0",
		'history'
	);
	is(query($node, "SELECT $both FROM pool_monitor.history('web', '1 minute')"),
		'35|10|0|0', 'and of one pool');
	is(
		query(
			$node,
			"SELECT pool, $both FROM pool_monitor.workload WHERE span = 'day' GROUP BY 1 ORDER BY pool COLLATE \"C\""
		),
		"(server)|45|10|0|0\n(undeclared)|10|0|0|0\nems|0|0|0|0\nweb|35|10|0|0",
		'workload'
	);
	is(
		query($node,
			q{SELECT pool, guarded, refused FROM pool_monitor.who(now() - interval '3 min', '10 min') ORDER BY pool COLLATE "C"}
		) =~ s/\d+/$& > 0 ? '+' : 0/ger,
		"(server)|+|0\n(undeclared)|+|0\nems|0|0\nweb|+|0",
		'who()'
	);
	is(
		query(
			$node,
			q{SELECT before, after > 6 FROM pool_monitor.changes(tstzrange(now() - interval '50 min', now() - interval '40 min'),
				tstzrange(now() - interval '4 min', now())) WHERE pool = 'web' AND what = 'guarded_per_minute'}
		),
		'0.000|t',
		'changes()'
	);
	is(
		query(
			$node,
			q{SELECT pool, (SELECT sum(n::float8) > 30 FROM json_array_elements_text(curve -> 'guarded') AS n)
				FROM pool_monitor.curves(NULL, now() - interval '1 hour', now()) WHERE pool IN ('web', 'ems') ORDER BY pool}
		),
		"ems|f\nweb|t",
		'curves()'
	);
};

subtest 'those of metrics, by what was counted' => sub {
	foreach my $view ('metrics_server', 'metrics_pool', 'metrics_application')
	{
		is(
			query(
				$node,
				"SELECT coalesce(sum(guarded_total), 0), coalesce(sum(would_be_guarded_total), 0) FROM pool_monitor.$view"
			),
			'0|0', "$view"
		);
	}
	like(query($node, 'SELECT pool_monitor.metrics()'),
		qr/^pool_monitor_pool_would_be_guarded_total\{pool="web"\} 0$/m, 'metrics()');

	# what comes after them in a row is what it says
	is(
		query(
			$node,
			q{SELECT m.transactions_total = s.transactions, m.hold_seconds_count = s.transactions FROM pool_monitor.metrics_pool AS m
				JOIN pool_monitor.pool_stats AS s ON s.pool = m.pool WHERE m.pool = 'web'}
		),
		't|t',
		'the other columns are where they were'
	);
};

subtest 'overview: guarded is not refused' => sub {
	my $status = "SELECT status, refused FROM pool_monitor.overview WHERE pool = 'web'";
	is(query($node, $status), 'ok +g|0', 'in the last minutes');
	is(query($node, "SELECT status, refused FROM pool_monitor.overview WHERE pool = 'ems'"),
		'ok|0', 'another pool was not');
	is(query($node, "SELECT pool FROM pool_monitor.overview WHERE pool <> '(server)' LIMIT 1"),
		'web', 'and comes after it');
	past($node, 'web', 60);
	is(query($node, $status), 'ok|0', 'it was once: no more');
	past($node, 'web', 60, guarded => 1);
	guarded($node, 'web', 20, guarded => 0);
	is(query($node, $status), 'ok|0', 'an hour ago: no more');
};

subtest 'report' => sub {
	past($node, 'web', 60, guarded => 3);
	guarded($node, '(server)', 60, guarded => 3);
	my $page = query($node, 'SELECT pool_monitor.report()');
	like($page, qr/logins were refused by the guard, to keep pools to their limits/, 'at its head');
	like(
		$page,
		qr/refused by the guard.*Logins that came to nothing|Logins that came to nothing.*refused by the guard/s,
		'and whose'
	);
	like($page, qr/0 refused, 18\d by the guard, 0 rejected/, 'of its pool');

	# more of them than before: a minute may have ended since
	past($node, $_, 90) foreach 'web', '(server)';
	unlike(
		query($node, 'SELECT pool_monitor.report()'),
		qr/logins were refused by the guard, to/,
		'nobody was: not a word'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
