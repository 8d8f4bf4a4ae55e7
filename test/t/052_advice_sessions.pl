# Advice about what real sessions do within seconds: each finding appears where it should,
# and stays silent where it should not. Only TAP has sessions that leak, hold, storm, and
# fill the server.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = advice_server('advice_sessions');

subtest 'an application that nobody has declared, with what to do about it' => sub {
	pools($node, row('known'));
	my $stranger = app_holder($node, 'strange_%', 3);
	my $solo     = app_holder($node, 'solo',      1);
	my $mine     = app_holder($node, 'known',     3);
	my $strange  = "topic = 'undeclared' AND finding LIKE '%strange%'";
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.advice WHERE $strange",
		'an undeclared application', 1
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.advice WHERE topic = 'undeclared' AND finding ~ 'solo|known'"
		),
		0,
		'a single session, or a declared one: silent'
	);
	my $insert =
	  $node->safe_psql('postgres', "SELECT recommendation FROM pool_monitor.advice WHERE $strange");
	like($insert, qr/^INSERT INTO/, 'a ready INSERT');
	declare($node, $insert);
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.budgets WHERE pool LIKE 'strange%'",
		'which takes its sessions', 3
	);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT application_name, ceiling FROM pool_monitor.pools WHERE name LIKE 'strange%'"
		),
		'strange\\_\\%|3',
		'and no others'
	);
	$_->close foreach $stranger, $solo, $mine;
};

subtest 'leaks' => sub {
	pools($node, row('leak', leak_threshold => "'1 s'"), row('tight', leak_threshold => "'1 s'"));
	my $leak  = app_holder($node, 'leak',  2);
	my $tight = app_holder($node, 'tight', 2);
	$tight->do('sql 0 SELECT 1');
	$leak->do('sql 0 BEGIN');
	wait_for(
		$node,
		"SELECT severity || ' ' || regexp_replace(evidence, 'in [0-9:]+ seen of', 'in what was seen of') FROM pool_monitor.advice WHERE topic = 'leak' AND pool = 'leak'",
		'a leak suspect',
		'warning 1 now, 1 in what was seen of the last day; leak_threshold 00:00:01'
	);
	like(
		advice($node, 'recommendation', 'leak of leak'),
		qr/idle_in_transaction_session_timeout.*transaction_timeout/,
		'with what the server has for it'
	);
	is(advice($node, 'count(*)', 'leak of tight'), 0, 'a pool without: silent');
	$leak->do('sql 0 COMMIT');
	wait_for($node,
		"SELECT severity FROM pool_monitor.advice WHERE topic = 'leak' AND pool = 'leak'",
		'it is over', 'info');
	$_->close foreach $leak, $tight;
};

subtest 'sessions that are used though they are over age' => sub {
	pools($node, row('aged', pool_recycle => "'1 s'", recycle_mode => "'report'"));
	my $aged = app_holder($node, 'aged', 2);
	wait_for($node,
		"SELECT min(age) > interval '1.6 s' FROM pool_monitor.sessions WHERE pool = 'aged'",
		'over age');
	is(advice($node, 'count(*)', 'over_age of aged'), 0, 'over age but unused: silent');
	$aged->do('sql 0 SELECT 1');
	like(
		advice($node, 'evidence', 'over_age of aged'),
		qr/^1 sessions were used/,
		'one is used: the client does not recycle'
	);
	$aged->close;
};

subtest 'long holds' => sub {
	pools(
		$node,
		row('slow',  pool_size => 4, max_overflow => 0),
		row('quick', pool_size => 4, max_overflow => 0)
	);
	my $sleep = "$node->{_basedir}/sleep.sql";
	my $nap   = "$node->{_basedir}/nap.sql";
	append_to_file($sleep, "SELECT pg_sleep(1.05);\n");
	append_to_file($nap,   "SELECT pg_sleep(0.1);\n");
	foreach (['slow', $sleep], ['quick', $nap])
	{
		my ($name, $file) = @$_;
		local $ENV{PGAPPNAME} = $name;
		$node->command_ok(
			[
				'pgbench', '-n', '-U', 'app', '-c', '4', '-j', '4', '-t', '8', '-f', $file,
				'postgres'
			],
			"$name holds"
		);
	}
	wait_for(
		$node,
		"SELECT severity || ' ' || quality FROM pool_monitor.advice WHERE topic = 'slow_holds' AND pool = 'slow'",
		'slow holds',
		'warning good'
	);
	like(
		advice($node, 'evidence', 'slow_holds of slow'),
		qr/^32 of 32 transactions, 100 %, held for a second or more in .*the last hour \(below 5 % is not slow\); 1\.\d+ s on average, 4 of 4 busy at most; since .* 1\.\d+ s \(median\)/,
		'with their times'
	);
	is(
		query(
			$node,
			"SELECT string_agg(pool || ' ' || long_holds, ', ' ORDER BY pool) FROM pool_monitor.pool_stats WHERE transactions = 32"
		),
		'quick 0, slow 32',
		'counted since the reset, too'
	);
	is(advice($node, 'count(*)', 'slow_holds of quick'), 0, 'quick ones: silent');
};

subtest 'storms' => sub {
	pools(
		$node,
		row('storm', pool_size => 1, max_overflow => 0),
		row('calm',  pool_size => 1, max_overflow => 0)
	);
	foreach (['storm', 200], ['calm', 5])
	{
		my ($name, $times) = @$_;
		local $ENV{PGAPPNAME} = $name;
		$node->command_ok(
			[
				'pgbench', '-n', '-C', '-U', 'app', '-c', '1', '-t', $times, '-f',
				"$node->{_basedir}/one.sql", 'postgres'
			],
			"$name connects"
		) if append_to_file("$node->{_basedir}/one.sql", "SELECT 1;\n") || 1;
	}
	wait_for(
		$node,
		"SELECT evidence LIKE '1 storms in % seen of the last day%' FROM pool_monitor.advice WHERE topic = 'storm' AND pool = 'storm'",
		'a storm'
	);
	is(advice($node, 'count(*)', 'storm of calm'), 0, 'a few connects: silent');
};

subtest 'retirement that makes a herd pauses, and advice says why' => sub {
	pools(
		$node,
		row(
			'herd',
			pool_size     => 1,
			max_overflow  => 0,
			pool_recycle  => "'1 s'",
			recycle_grace => "'0'",
			recycle_mode  => "'terminate'"
		)
	);
	is(
		$node->safe_psql(
			'postgres', "SELECT count(*) FROM pool_monitor.advice WHERE topic = 'retirement'"
		),
		0,
		'no pause: silent'
	);
	my $herd = app_holder($node, 'herd', 12);
	$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
	$node->reload;
	wait_for(
		$node,
		"SELECT retired >= 1 FROM pool_monitor.pool_stats WHERE pool = 'herd'",
		'retirement begins'
	);
	foreach (1 .. 30)
	{
		last if log_count($node, 'pool "herd": scheduled retirement pauses');
		my $more = app_holder($node, 'herd', 10);
		$more->close;
	}
	wait_for(
		$node,
		"SELECT pool FROM pool_monitor.advice WHERE topic = 'retirement'",
		'it has paused', 'herd'
	);
	$herd->close;
	$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 1h\n");
	$node->reload;
};

subtest 'refusals, for real' => sub {
	pools($node, row('full', pool_size => 79, max_overflow => 0), row('lucky'));
	is(advice($node, 'count(*)', 'refused of full'), 0, 'nobody was refused: silent');
	my $full = app_holder($node, 'full', 79);
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT 1',
		connstr => $node->connstr('postgres') . ' user=app application_name=full');
	isnt($rc, 0, 'the server is full');
	wait_for(
		$node,
		"SELECT severity || ' ' || evidence LIKE 'critical 1 in % seen of the last day, 1 of them in the last hour; %, 79 usable; %' FROM pool_monitor.advice WHERE topic = 'refused' AND pool = 'full'",
		'a refusal'
	);
	is(advice($node, 'count(*)', 'refused of lucky'), 0, 'the other pool was not');
	$full->close;
};

subtest
  'connections from more hosts than declared: a socket is no host, two loopback addresses are two'
  => sub {
	pools($node, row('hosts'));
	my @hosts = ($node->host, '127.0.0.1', '::1');
  SKIP:
	{
		my @open = map {
			eval { app_holder($node, 'hosts', 1, host => $_) }
			  || ()
		} @hosts;
		my $seen = $node->safe_psql('postgres',
			"SELECT count(DISTINCT client_addr) FROM pool_monitor.sessions WHERE pool = 'hosts'");
		skip 'this machine has no two addresses', 2 unless $seen == 2;
		is(
			$node->safe_psql(
				'postgres',
				"SELECT setting, current, proposed, quality FROM pool_monitor.advice WHERE topic = 'declaration' AND pool = 'hosts'"
			),
			'servers|1|2|exact',
			'two hosts, one server declared'
		);
		declare($node, "UPDATE pool_monitor.pools SET servers = 2");
		is(advice($node, 'count(*)', 'declaration of hosts'), 0, 'two servers: silent');
		declare($node, "UPDATE pool_monitor.pools SET servers = 1, workers = 2");
		is(advice($node, 'count(*)', 'declaration of hosts'),
			0, 'two workers, that may be on two hosts: silent');
		$_->close foreach @open;
	}
  };

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
