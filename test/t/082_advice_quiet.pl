# Advice that does not nag: one row where every pool has the same finding, what is muted is
# counted and not shown, who comes and goes does not blink, a budget is not given out twice.
# Needs a replayed past, and sessions of an application that nobody declared.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('advice_quiet');

my $rows =
  "SELECT coalesce(pool, '(server)'), severity, evidence, setting, current, proposed FROM pool_monitor.advice WHERE topic = ";

subtest 'the same finding of every pool is one of the server' => sub {
	pools($node, map { row($_, pool_recycle => "'45 min'") } 'a', 'b', 'c');
	is(
		query($node, "$rows 'pool_recycle'"),
		'(server)|info|all 3 pools: pool_recycle 00:45:00|pool_recycle|2700|1800',
		'one row for three pools'
	);
	pools($node, row('a', pool_recycle => "'45 min'"), row('b', pool_recycle => 'NULL'));
	is(
		query($node, "$rows 'pool_recycle'"),
		'(server)|info|all 2 pools: pool_recycle 00:45:00; pool_recycle not set|pool_recycle||1800',
		'with the values of each'
	);
	pools(
		$node,
		row('a', pool_recycle => "'45 min'"),
		row('b', pool_recycle => "'45 min'"),
		row('c')
	);
	is(
		query($node, "$rows 'pool_recycle' ORDER BY 1"),
		"a|info|pool_recycle 00:45:00|pool_recycle|2700|1800\nb|info|pool_recycle 00:45:00|pool_recycle|2700|1800",
		'not every pool: a row each'
	);
	pools($node, row('a', pool_recycle => "'45 min'"));
	is(query($node, "SELECT pool FROM pool_monitor.advice WHERE topic = 'pool_recycle'"),
		'a', 'a single pool has its name');
};

# The queries of this file can be a storm of psql, where the machine is fast, and two of its
# sessions be there at once, where it is slow.
my $quiet = "topic NOT IN ('storm', 'undeclared')";

subtest 'muted' => sub {
	pools($node, map { row($_, pool_recycle => "'45 min'") } 'a', 'b', 'c');
	query($node, "INSERT INTO pool_monitor.muted VALUES ('a', 'pool_recycle', NULL, 'PgBouncer')");
	is(
		query(
			$node,
			"SELECT topic, pool, evidence FROM pool_monitor.advice WHERE $quiet ORDER BY 1, 2"
		),
		"muted||1 pool_recycle\npool_recycle|b|pool_recycle 00:45:00\npool_recycle|c|pool_recycle 00:45:00",
		'one pool: counted, not shown'
	);
	query($node, "UPDATE pool_monitor.muted SET topic = 'idle'");
	is(query($node, "SELECT count(*) FROM pool_monitor.advice WHERE $quiet"),
		1, 'another topic: it is shown');
	query($node,
		"UPDATE pool_monitor.muted SET topic = 'pool_recycle', pool = NULL, until = now() + interval '1 hour'"
	);
	is(
		query($node, "SELECT topic, evidence FROM pool_monitor.advice WHERE $quiet"),
		'muted|3 pool_recycle',
		'of every pool, for an hour'
	);
	query($node, "UPDATE pool_monitor.muted SET until = now() - interval '1 second'");
	is(query($node, "SELECT topic FROM pool_monitor.advice WHERE $quiet"),
		'pool_recycle', 'which is over');
	is(query($node, "SET ROLE watcher; SELECT topic FROM pool_monitor.advice WHERE $quiet"),
		'pool_recycle', 'it needs no right of its own');
	query($node, "UPDATE pool_monitor.muted SET until = NULL, pool = 'd'");
	is(
		query($node, "SELECT topic, evidence FROM pool_monitor.advice WHERE $quiet ORDER BY 1"),
		"muted|of no declared pool: d\npool_recycle|all 3 pools: pool_recycle 00:45:00",
		'a row that is of no pool is told of'
	);
	query($node, 'DELETE FROM pool_monitor.muted');
};

subtest 'an undeclared application that is known' => sub {
	my @holders = map { app_holder($node, $_, 2) } 'backup', 'report';
	my $found =
	  "SELECT string_agg(finding, ', ' ORDER BY finding) FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE '% of role \"app\" %'";
	my %says =
	  map { $_ => qq{application "$_" of role "app" in database "postgres" is in no declared pool} }
	  'backup', 'report';
	wait_for($node, $found, 'both are told of', "$says{backup}, $says{report}");
	query($node, "INSERT INTO pool_monitor.muted VALUES ('backup', 'undeclared', NULL, 'cron')");
	is(query($node, $found), $says{report}, 'it alone is muted');
	is(query($node, "SELECT evidence FROM pool_monitor.advice WHERE topic = 'muted'"),
		'1 undeclared', 'and counted');
	query($node, 'DELETE FROM pool_monitor.muted');
	$_->close foreach @holders;
};

subtest 'exhausted pools do not get the same room' => sub {
	my @full =
	  (busy => 9, max_busy => 10, connections => 10, max_connections => 10, transactions => 5000);
	pools($node, map { row($_, pool_size => 10, max_overflow => 0) } 'a' .. 'e');
	my %share = (a => 0.5, b => 0.4, c => 0.3, d => 0.25);
	replay($node, map { [$_, 60, @full, exhausted => $share{$_}] } sort keys %share);
	is(
		query(
			$node,
			"SELECT string_agg(pool || ' ' || coalesce(proposed::text, '-'), ', ' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'exhausted'"
		),
		'a 15, b 15, c 15, d -',
		'15 connections are left of 65'
	);
	my $stranger = app_holder($node, 'stranger', 20);
	is(
		query(
			$node,
			"SELECT string_agg(pool || ' ' || coalesce(proposed::text, '-'), ', ' ORDER BY pool) FROM pool_monitor.advice WHERE topic = 'exhausted'"
		),
		'a 15, b 13, c -, d -',
		'8 where 21 of 79 are held by what nobody declared'
	);
	$stranger->close;
};

subtest 'four pools, each below what is worth a word' => sub {
	my @four = map { "p$_" } 1 .. 4;
	my @idle =
	  (busy => 0.06, max_busy => 1, connections => 5, max_connections => 5, transactions => 5000);
	pools($node, map { row($_, pool_size => 5, max_overflow => 0) } @four);
	replay($node, (map { [$_, 1440, @idle] } @four), ['(server)', 1440, max_connections => 20]);
	is(query($node, "$rows 'idle'"), '', 'as long as there is room: silent');
	replay($node, (map { [$_, 1440, @idle] } @four), ['(server)', 1440, max_connections => 60]);
	is(
		query($node, "$rows 'idle'"),
		'(server)|info|12 of the connections that these keep open: p1 (pool_size 5; 2 would do, with max_overflow 0), p2 (pool_size 5; 2 would do, with max_overflow 0), p3 (pool_size 5; 2 would do, with max_overflow 0), p4 (pool_size 5; 2 would do, with max_overflow 0)|||',
		'when it is scarce they are found together'
	);
	replay($node, ['(server)', 1440]);
};

subtest 'what one look proposes fits together' => sub {
	my $proposed =
	  "SELECT concat_ws(' ', pool, topic, setting, proposed) FROM pool_monitor.advice WHERE topic NOT IN ('undeclared', 'storm') ORDER BY topic, pool, setting";
	my @open = (connections => 10, transactions => 5000);
	pools(
		$node,
		row('churn', pool_size => 9,  max_overflow => 9),
		row('idle',  pool_size => 40, max_overflow => 0),
		row('low',   pool_size => 5,  max_overflow => 20),
		row('wrong', pool_size => 5,  max_overflow => 5, workers => 2)
	);
	replay(
		$node,
		[
			'churn', 1440, @open,
			max_connections => 12,
			busy            => 2,
			max_busy        => 6,
			connects        => 40,
			disconnects     => 40,
			overflow        => 0.3
		],
		[
			'idle', 1440,
			connections     => 40,
			max_connections => 40,
			busy            => 2,
			max_busy        => 8,
			transactions    => 5000
		],
		[
			'idle', 60,
			connections     => 40,
			max_connections => 40,
			busy            => 2,
			max_busy        => 20,
			transactions    => 5000
		],
		['low',   1440, @open, max_connections => 6,  busy => 2,  max_busy => 5],
		['wrong', 1440, @open, max_connections => 50, busy => 15, max_busy => 25, exhausted => 0.3]
	);
	is(
		query($node, $proposed),
		"wrong declaration workers 5\nidle idle max_overflow 11\nidle idle pool_size 10\novercommitted\nchurn overflow",
		'a wrong declaration first; no base that idle would take back'
	);
	like(
		advice($node, 'recommendation', 'idle of idle'),
		qr/pool_size to 10, .* with max_overflow 11\./,
		'a ceiling above the most that was busy'
	);

	my @four  = map { "p$_" } 1 .. 4;
	my %most  = map { ("p$_" => 5 + $_) } 1 .. 4;
	my $lower = sub {
		my ($minutes) = @_;
		pools($node, map { row($_, pool_size => 5, max_overflow => 20) } @four);
		replay(
			$node,
			map {
				[
					$_, $minutes, @open,
					max_connections => $most{$_},
					busy            => 3,
					max_busy        => $most{$_}
				]
			} @four
		);
		return query($node, "$proposed LIMIT 3");
	};
	no_past($node);
	like(
		$lower->(600),
		qr/^overcommitted max_connections 103\novercommitted pool_monitor.connection_budget 100\n?$/,
		'from less than a day no pool is lowered'
	);
	is(
		$lower->(1440),
		"p1 overcommitted max_overflow 2\np2 overcommitted max_overflow 3\novercommitted max_connections 103",
		'as many as it takes, to more than was busy'
	);
};

subtest 'no number that undoes another' => sub {
	my $idle = sub {
		my ($minutes, %figures) = @_;
		pools($node, row('idle', pool_size => 40, max_overflow => 10));
		replay(
			$node,
			[
				'idle', $minutes,
				connections     => 41,
				max_connections => 45,
				busy            => 2,
				max_busy        => 8,
				transactions    => 5000,
				%figures
			]
		);
		return query($node,
			"SELECT topic, proposed FROM pool_monitor.advice WHERE pool = 'idle' ORDER BY topic");
	};
	no_past($node);
	is($idle->(600),  '',        'half a day has not seen the peak');
	is($idle->(1440), 'idle|10', 'a day has');
	is($idle->(1440, connects => 40, disconnects => 40, overflow => 0.3),
		'overflow|', 'a base from which sessions overflow is not lowered');
};

subtest 'an application that comes and goes' => sub {
	my $undeclared =
	  "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding LIKE '%\"guest\"%'";
	pools($node, row('known'));
	my $guest = app_holder($node, 'guest', 2);
	wait_for($node, $undeclared, 'it is there', 1);
	$guest->close;
	wait_for($node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'guest'",
		'it has gone', 0);
	is(query($node, $undeclared), 1, 'it is still told of');
	is(
		query(
			$node,
			"SELECT now() - last_used BETWEEN interval '0' AND interval '1 hour' FROM pool_monitor.pool_stats WHERE application_name = 'guest'"
		),
		't',
		'for it was here within the hour'
	);
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('guests', 'guest')");
	is(query($node, $undeclared), 0, 'declared while it is away: nothing is left to do');
	declare($node, "DELETE FROM pool_monitor.pools WHERE name = 'guests'");
	$guest = app_holder($node, 'guest', 2);
	wait_for($node, $undeclared, 'it is back', 1);
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('guests', 'guest')");
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.budgets WHERE pool = 'guests'",
		'declared while it is there', 2
	);
	is(query($node, $undeclared), 0, 'nothing is left to do');
	$guest->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
