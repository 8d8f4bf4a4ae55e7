# Every view, and what asks of the past, on a hot standby that clients read from; what is
# declared is the primary's, so that a pool which is not here is nothing odd. Needs two
# servers, the second made by pg_basebackup.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder);
use PostgreSQL::Test::Utils;
use Test::More;

my $primary =
  new_server('primary', "pool_monitor.status_hold = 1s\n", init => {allows_streaming => 1});
declare($primary,
		insert_pool('reads', pool_size => 2, max_overflow => 0)
	  . insert_pool('writes', pool_size => 2, max_overflow => 0)
	  . 'CREATE ROLE app LOGIN');
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
wait_for($standby, 'SELECT count(*) FROM pool_monitor.budgets', 'the declarations are loaded', '2');
my $reads = app_holder($standby, 'reads', 2);
my $guest = app_holder($standby, 'guest', 3);
$reads->do('busy 2');

subtest 'each view can be read' => sub {
	wait_for(
		$standby,
		"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'reads' AND max_busy = 2",
		'it has a past'
	);
	my @views = split /\n/,
	  query($standby,
		"SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pool_monitor'::regnamespace AND relkind = 'v' ORDER BY 1"
	  );
	cmp_ok(scalar @views, '>=', 15, 'all that there are');
	foreach my $view (@views)
	{
		my ($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM $view");
		is("$rc $err", '0 ', $view);
	}
};

subtest 'and so can what is asked with arguments' => sub {
	foreach my $call (
		"report('10 min')",
		"report('10 min', format => 'json')",
		"chart('(server)', '10 min')",
		"waits_simulated('reads', '1 hour', 5, 5)",
		"who(now() - interval '5 min', '5 min')",
		"changes(tstzrange(now() - interval '5 min', now()), tstzrange(now() - interval '5 min', now()))",
		'fit()',
		"can_retire('reads')",
		"simulate('reads')",
		"which_pool('reads', 'postgres', 'app')",
		"history('reads', interval '1 minute')",
		"workload('reads')",
		"sessions('reads')",
		'recycle()',
		'lint()'
	  )
	{
		my ($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM pool_monitor.$call");
		is("$rc $err", '0 ', $call);
	}
};

subtest 'what they say is of the standby' => sub {
	is(
		query(
			$standby,
			"SELECT pool, status, conns, busy FROM pool_monitor.overview WHERE pool IN ('reads', 'writes', 'guest') ORDER BY pool"
		),
		"guest|undeclared|3|0\nreads|exhausted|2|2\nwrites|ok|0|0",
		'who is here'
	);
	wait_for(
		$standby,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'exhausted'",
		'an event says so', '1'
	);
	is(query($standby, 'SELECT status FROM pool_monitor.health'), 'ok', 'the monitor is well');
	is(query($primary, 'SELECT count(*) FROM pool_monitor.events WHERE pool IS NOT NULL'),
		'0', 'and nothing of it is of the primary');
	like(query($standby, "SELECT string_agg(topic, ' ') FROM pool_monitor.advice"),
		qr/\bundeclared\b/, 'advice tells of who is here and is not declared');
};

subtest 'what is to be written is for the primary' => sub {
	declare($primary, "UPDATE pool_monitor.pools SET pool_recycle = '2 h' WHERE name = 'reads'");
	wait_for(
		$standby,
		"SELECT recommendation ~ ' The row is changed on the primary: a standby cannot write\\.\$' FROM pool_monitor.advice WHERE topic = 'pool_recycle' AND pool = 'reads'",
		'a change of a row'
	);
	is(
		query(
			$primary,
			"SELECT recommendation ~ 'primary' FROM pool_monitor.advice WHERE topic = 'pool_recycle' AND pool = 'reads'"
		),
		'f',
		'which the primary does not say of itself'
	);
	declare($primary,
		"UPDATE pool_monitor.pools SET max_overflow = -1 WHERE name = 'writes'; UPDATE pool_monitor.pools SET budget = 1 WHERE name = 'reads'"
	);
	foreach (['unbounded', 'writes'], ['over', 'reads'])
	{
		my ($topic, $pool) = @$_;
		wait_for(
			$standby,
			"SELECT recommendation ~ ' The row is changed on the primary: a standby cannot write\\.\$' FROM pool_monitor.advice WHERE topic = '$topic' AND pool = '$pool'",
			"and one without a number: $topic"
		);
	}
	declare($primary, 'UPDATE pool_monitor.pools SET max_overflow = 0, budget = NULL');
	my $insert = query($standby,
		"SELECT recommendation FROM pool_monitor.advice WHERE topic = 'undeclared' AND pool IS NULL AND finding ~ 'guest'"
	);
	like($insert, qr{^/\* on the primary: .* \*/ INSERT INTO pool_monitor\.pools }, 'a row');
	query($primary, $insert);
	wait_for(
		$standby,
		"SELECT connections FROM pool_monitor.budgets WHERE pool = 'guest'",
		'there it can be run', '3'
	);
	query($primary, "DELETE FROM pool_monitor.pools WHERE name = 'guest'");
	wait_for($standby, "SELECT count(*) FROM pool_monitor.budgets", 'as before', '2');
};

subtest 'a pool of the primary is nothing odd' => sub {
	my $unmatched =
	  "SELECT string_agg(pool, ' ' ORDER BY pool) FROM pool_monitor.lint(unmatched_after => '0') WHERE rule = 'unmatched'";
	is(query($primary, $unmatched), 'reads writes', 'where it is declared, nobody came');
	is(query($standby, $unmatched), '',             'here that says nothing');
	$reads->close;
	$guest->close;
	$primary->stop;
	$standby->promote;
	wait_for($standby, $unmatched, 'after promotion it does', 'writes');
};

is(log_count($standby, 'PANIC|TRAP|could not load'), 0, 'nothing went wrong on the way');
done_testing();
