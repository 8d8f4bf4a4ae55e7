# Where advice could mislead: a day that was not like the others, a declaration that was
# wrong for an hour of it, a pool that is full so that nothing ends, budgets and surges
# beside the sizes. Regress has no past: each is replayed.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('advice_traps');
my $rows =
  "SELECT concat_ws(' ', severity, pool, topic, setting, proposed) FROM pool_monitor.advice WHERE topic NOT IN ('undeclared', 'storm', 'slow_holds') ORDER BY 1";

sub full
{
	my ($most) = @_;
	return (busy => $most, max_busy => $most, connections => $most, max_connections => $most);
}

subtest 'full for an hour, and no transaction ends' => sub {
	pools($node, row('stuck', pool_size => 10, max_overflow => 0));
	replay($node, ['stuck', 60, full(10), exhausted => 1]);
	is(
		query($node, $rows),
		'critical stuck exhausted',
		'that is grave, whatever can be said of sizes'
	);
	like(
		advice($node, 'evidence', 'exhausted of stuck'),
		qr/up to an unknown share for longer than pool_timeout|model is withheld/,
		'what is not known is not left blank'
	);
	like(advice($node, 'recommendation', 'exhausted of stuck'),
		qr/leak_suspects/, 'and it says where to look');
	replay($node, ['stuck', 60, full(10), exhausted => 0.3]);
	is(query($node, $rows), 'critical stuck exhausted', 'the same for 30 % of it');
	no_past($node);
	replay($node, ['stuck', 1, full(10), exhausted => 0.5]);
	is(query($node, $rows), 'info stuck exhausted', 'half a minute of it is not');
};

subtest 'long holds: the day has looks enough, the hour has not' => sub {
	pools($node, row('slow', pool_size => 10, max_overflow => 0));
	replay($node, ['slow', 1440, full(10), busy => 9, exhausted => 0.3, transactions => 4]);
	is(query($node, $rows), 'critical slow exhausted pool_size 15', 'so the day is judged');
};

subtest 'more than declared in the day, full in the last hour' => sub {
	pools($node, row('ems', workers => 3, pool_size => 6, max_overflow => 8));
	replay(
		$node,
		['ems', 1440, full(84), busy      => 30,  transactions => 5000],
		['ems', 60,   full(42), exhausted => 0.9, transactions => 5000]
	);
	is(
		query($node, $rows),
		"critical ems exhausted\nwarning ems declaration workers 6",
		'both are told, without a number by a declaration that is wrong'
	);
	like(
		advice($node, 'recommendation', 'exhausted of ems'),
		qr/First correct the declaration/,
		'in this order'
	);
	query($node,
		q{INSERT INTO pool_monitor.muted (pool, topic, why) VALUES ('ems', 'declaration', 'a psql under its name')}
	);
	is(advice($node, 'severity, setting, proposed', 'exhausted of ems'),
		'critical|max_overflow|15', 'who knows better, and says so, gets the number');
	query($node, 'DELETE FROM pool_monitor.muted');
};

subtest 'above a budget, without a bound' => sub {
	pools($node, row('free', pool_size => 5, max_overflow => -1, budget => 30));
	replay($node, ['free', 1]);
	query($node, <<'EOS');
SELECT replay_rings(ARRAY(SELECT date_trunc('minute', now()) - m * interval '1 min' FROM generate_series(99, 0, -1) AS m), ARRAY[date_trunc('hour', now())]);
SELECT count(replay_stretch('free', '1 min', date_trunc('minute', now()) - m * interval '1 min', 60, 60, 60, 5, 9, 0, 0, 0, 0, 600, 60, 0, 60))
FROM generate_series(99, 0, -1) AS m;
EOS
	like(
		advice($node, 'evidence', 'over of free'),
		qr/^above its budget of 30 for (?:99|100) % of .*; 60 connections at most, ceiling none$/,
		'its budget holds all the same'
	);
};

subtest 'a quiet day' => sub {
	my $hours =
	  q{generate_series(date_trunc('hour', now()) - interval '6 days', date_trunc('hour', now()), '1 hour')};
	pools($node, row('web', pool_size => 40, max_overflow => 0));
	query($node,
		"SELECT replay_rings(ARRAY[date_trunc('minute', now())], ARRAY(SELECT h FROM $hours AS h))"
	);
	replay($node, ['web', 1440, full(40), busy => 2, max_busy => 4, transactions => 5000]);
	like(query($node, $rows), qr/^info web idle pool_size \d$/, 'where no other is known');
	query($node,
		"SELECT count(replay_stretch('web', '1 hour', h, 3600, 40, 40, 30, 38, 0, 0, 0, 0, 5000, 0, 0, 0)) FROM $hours AS h WHERE h < now() - interval '2 days'"
	);
	is(query($node, $rows), '', 'takes nothing away that the week needs');
	is(
		query($node, 'SELECT p95_busy, week_busy, proposed_ceiling >= 38 FROM pool_monitor.fit()'),
		'4|38|t',
		'nor does fit()'
	);
	pools($node, row('web', pool_size => 5, max_overflow => 90));
	replay($node, ['web', 1440, full(40), busy => 2, max_busy => 4, transactions => 5000]);
	is(
		query(
			$node,
			"SELECT setting, proposed FROM pool_monitor.advice WHERE pool = 'web' AND topic = 'overcommitted'"
		),
		'max_overflow|35',
		'nor where all pools together are too many'
	);
};

# A day with the sizes that were says nothing of those that are, but for how large the load is.
subtest 'sizes that are declared anew' => sub {
	my $item         = 'SELECT status FROM pool_monitor.checklist WHERE item = 1';
	my @sizes        = ([wide => 40, 0, 10, 11], [hot => 10, 0, 15, 0]);
	my $declare_them = sub {
		my ($new) = @_;
		pools(
			$node,
			map {
				row($_->[0], pool_size => $_->[1 + 2 * $new], max_overflow => $_->[2 + 2 * $new])
			} @sizes
		);
	};
	$declare_them->(0);
	replay(
		$node,
		['wide', 1440, full(40), busy => 3, max_busy  => 8,   transactions => 5000],
		['wide', 60,   full(40), busy => 3, max_busy  => 20,  transactions => 5000],
		['hot',  1440, full(10), busy => 8, exhausted => 0.3, transactions => 5000]
	);
	is(
		query($node, $rows),
		"critical hot exhausted pool_size 15\ninfo wide idle max_overflow 11\ninfo wide idle pool_size 10",
		'what is proposed'
	);
	is(query($node, $item), 'warn', 'and in the checklist');
	$declare_them->(1);
	is(query($node, $rows), '',        'done, nothing is left to say');
	is(query($node, $item), 'unknown', 'nor in the checklist');
	my $sums = 'SELECT max(max_connections) FROM pool_monitor.workload($$wide$$, as_sized => ';
	is(query($node, "$sums false)"),                      '40', 'the past is there');
	is(query($node, "SELECT coalesce(($sums true)), 0)"), '0',  'and set apart');

	# another name of it, other processes with the same ceiling: no new sizes
	my $since =
	  "SELECT string_agg(pool || ' ' || sized_since, ', ' ORDER BY pool) FROM pool_monitor.declared()";
	my $before = query($node, $since);
	isnt($before, '', 'since when is known');
	declare($node, "UPDATE pool_monitor.pools SET pool_recycle = '20 min', priority = 7");
	is(query($node, $since), $before, 'it is the sizes that count');
	$node->restart;
	wait_for($node, $since, 'a restart does not change them', $before);
	is(query($node, $rows), '', 'and nothing is said of the time before');
	declare($node, "UPDATE pool_monitor.pools SET max_overflow = 12 WHERE name = 'wide'");
	isnt(query($node, $since), $before, 'a change after it does');
	$node->stop;
	$node->start;
	wait_for(
		$node,
		'SELECT count(*) FROM pool_monitor.declared() WHERE sized_since IS NOT NULL',
		'both are known', 2
	);
	declare($node, row('fresh'));
	is(
		query(
			$node, "SELECT sized_since IS NULL FROM pool_monitor.declared() WHERE pool = 'fresh'"
		),
		't',
		'one that is new was never of another size'
	);
};

subtest 'two pools with the same numbers' => sub {
	pools($node, map { row($_, pool_size => 5, max_overflow => 0) } 'm1', 'm2');
	replay($node, map { [$_, 60, refused => 9] } 'm1', 'm2', '(server)');
	is(
		query(
			$node,
			"SELECT pool, split_part(evidence, ' ', 1) FROM pool_monitor.advice WHERE topic = 'refused' ORDER BY 1"
		),
		"m1|540\nm2|540",
		'are told each by itself'
	);
	pools($node, map { row($_, leak_threshold => "'1 s'") } 'l1', 'l2');
	my @open = map { PoolMonitor::Holder->new($node, application_name => $_) } 'l1', 'l2';
	$_->do('sql 0 BEGIN') foreach @open;
	wait_for(
		$node,
		"SELECT string_agg(pool, ' ' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'leak'",
		'as what they have right now is',
		'l1 l2'
	);
	$_->close foreach @open;
	pools($node, row('m1', pool_size => 5, max_overflow => 0));
	is(
		query(
			$node,
			"SELECT pool, substring(finding FROM 'pool .*') FROM pool_monitor.advice WHERE topic = 'refused' ORDER BY 1"
		),
		"m1|\n|pool m2, which is not declared any more",
		'one that is not declared any more is none'
	);
	no_past($node);
};

subtest 'one muted pool of several that are idle together' => sub {
	my @four = map { "p$_" } 1 .. 4;
	pools($node, map { row($_, pool_size => 5, max_overflow => 0) } @four);
	replay(
		$node,
		(map { [$_, 1440, full(5), busy => 0.06, max_busy => 1, transactions => 5000] } @four),
		['(server)', 1440, max_connections => 60]
	);
	query($node, "INSERT INTO pool_monitor.muted VALUES ('p1', 'idle', NULL, 'a standby')");
	like(
		query($node, "SELECT evidence FROM pool_monitor.advice WHERE topic = 'idle'"),
		qr/^9 of the connections that these keep open: p2 .*, p3 .*, p4 [^,]*, [^,]*$/,
		'is not named'
	);
	query($node, 'DELETE FROM pool_monitor.muted');
	replay($node, ['(server)', 1440]);
};

subtest 'a smallest step that does not fit' => sub {
	pools(
		$node,
		row('big',   workers   => 25, pool_size    => 2, max_overflow => 0),
		row('small', pool_size => 5,  max_overflow => 0)
	);
	replay(
		$node,
		['big',   60, full(50), busy => 48,  transactions => 5000, exhausted => 0.9],
		['small', 60, full(5),  busy => 4.5, transactions => 5000, exhausted => 0.5]
	);
	is(
		query($node, $rows),
		"critical big exhausted\ncritical small exhausted pool_size 7",
		'leaves the room to those whose step does'
	);
};

subtest 'a budget of its own' => sub {
	pools($node, row('capped', pool_size => 10, max_overflow => 0, budget => 10));
	replay($node, ['capped', 60, full(10), exhausted => 0.9, transactions => 5000]);
	is(query($node, $rows), 'critical capped exhausted', 'that is the ceiling is kept, too');
	pools($node, row('capped', pool_size => 5, max_overflow => -1, budget => 30));
	replay($node, ['capped', 1260, full(33), busy => 10, transactions => 5000]);
	is(
		query($node, $rows),
		'warning capped unbounded max_overflow 25',
		'a bound is proposed within it'
	);
};

subtest 'a reserve stays' => sub {
	my $bouncer = sub {
		my ($other) = @_;
		pools(
			$node,
			row('bouncer', pool_size => 20,     max_overflow => 0, budget => 26),
			row('ems',     pool_size => $other, max_overflow => 0)
		);
		replay($node, ['bouncer', 60, full(20), exhausted => 0.9, transactions => 5000]);
		return query($node, $rows);
	};
	is(
		$bouncer->(10),
		"critical bouncer exhausted budget 36\ncritical bouncer exhausted pool_size 30",
		'when the size goes up, so does the budget'
	);
	is(
		$bouncer->(35),
		"critical bouncer exhausted budget 30\ncritical bouncer exhausted pool_size 24",
		'as far as there is room in the server'
	);
	is($bouncer->(39), 'critical bouncer exhausted', 'and not at the cost of the reserve');
};

subtest 'more than its budget' => sub {
	my $minute = "date_trunc('minute', now())";
	pools($node, row('above', pool_size => 20, max_overflow => 20, budget => 20));
	my $for = sub {
		my ($seconds) = @_;
		replay($node, ['above', 1]);    # waits until it has a history
		query(
			$node,
			"BEGIN; SELECT replay_rings(ARRAY[$minute], ARRAY[date_trunc('hour', now())]);
			SELECT replay_stretch('above', '1 minute', $minute, 60, 35, 35, 10, 12, 0, 0, 0, 0, 5000, 0, 0, $seconds); COMMIT"
		);
	};
	$for->(60);
	is(
		query($node, $rows),
		"info above guard\nwarning above over",
		'though it is below its ceiling'
	);
	like(
		advice($node, 'evidence', 'over of above'),
		qr/^above its budget of 20 for \d+ % of .* seen of the last day; 35 connections at most, ceiling 40$/,
		'for how long'
	);
	$for->(0);
	is(query($node, $rows), '', 'in a part of a second that no sample saw: silent');
};

# What fit() proposes is declared as it is.
sub fitted
{
	query(
		$node,
		"BEGIN; CREATE TEMP TABLE f ON COMMIT DROP AS SELECT * FROM pool_monitor.fit();
		UPDATE pool_monitor.pools AS p SET pool_size = f.proposed_pool_size, max_overflow = f.proposed_max_overflow, budget = f.proposed_budget
		FROM f WHERE f.pool = p.name AND f.proposed_pool_size IS NOT NULL; COMMIT"
	);
	declare($node, 'SELECT 1');
	return query($node,
		'SELECT status, declared_budget <= connection_budget, (SELECT sum(freed) FROM pool_monitor.fit()) FROM pool_monitor.server'
	);
}

subtest 'fit() knows surges and budgets' => sub {
	my @busy =
	  (busy => 4, max_busy => 6, connections => 20, max_connections => 20, transactions => 6000);
	pools(
		$node,
		row('a', pool_size => 20, max_overflow => 4, surge  => 100),
		row('b', pool_size => 10, max_overflow => 5, surge  => 50, workers => 2),
		row('c', pool_size => 10, max_overflow => 0, budget => 40)
	);
	replay($node, map { [$_, 1440, @busy] } 'a', 'b', 'c');
	is(fitted(), 'ok|t|0', 'done once, there is room, and nothing more to be freed');
	is(query($node, "SELECT budget - ceiling FROM pool_monitor.pools WHERE name = 'c'"),
		30, 'the reserve of a budget stays');
	pools(
		$node,
		row('d',     pool_size => 50, max_overflow => 0, surge => 50),
		row('fresh', pool_size => 10, max_overflow => 0, surge => 200)
	);
	replay($node, ['d', 1440, @busy]);
	is(fitted(), 'ok|t|0', 'room is kept for the surge of one that was not measured');
};

done_testing();
