# What a role sees and does through others' views and functions. Needs real logins: what
# goes by who has logged in, and by who owns, regress would not see.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorRights;
use Test::More;

my $node  = rights_server('rights_through');
my $other = PoolMonitor::Holder->new($node, user => 'other', application_name => 'other');
create_probe($node, 'postgres');

subtest q{through others' views and functions} => sub {
	as($node, 'monitor', <<'EOS');
CREATE SCHEMA shared;
GRANT USAGE ON SCHEMA shared TO PUBLIC;
CREATE VIEW shared.budgets AS SELECT * FROM pool_monitor.budgets;
CREATE VIEW shared.calls AS SELECT * FROM pool_monitor.budgets();
CREATE VIEW shared.advice AS SELECT * FROM pool_monitor.advice;
CREATE VIEW shared.sessions AS SELECT * FROM pool_monitor.sessions;
CREATE VIEW shared.pools AS SELECT * FROM pool_monitor.pools;
CREATE VIEW shared.invoker WITH (security_invoker) AS SELECT * FROM pool_monitor.pools;
GRANT SELECT ON ALL TABLES IN SCHEMA shared TO PUBLIC;
CREATE FUNCTION shared.count_budgets() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.budgets';
CREATE FUNCTION shared.others() RETURNS bool LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT bool_or(state IS NOT NULL) FROM pool_monitor.sessions WHERE usename = ''other''';
CREATE FUNCTION shared.act() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.recycle(dry_run => false)';
CREATE FUNCTION shared.invoker() RETURNS bigint LANGUAGE sql
	AS 'SELECT count(*) FROM pool_monitor.budgets';
EOS
	foreach (
		[
			'budgets', 'SELECT count(*)::text FROM shared.budgets',
			'42501',   'a view over a view: what it calls goes by who asks'
		],
		[
			'calls', 'SELECT count(*)::text FROM shared.calls', '42501',
			'a view over a function, too'
		],
		['advice', 'SELECT count(*)::text FROM shared.advice', '42501', 'and a view over many'],
		[
			'sessions',
			q{SELECT bool_or(state IS NOT NULL) FROM shared.sessions WHERE usename = 'other'},
			'false', 'sessions show what the one who asks may see'
		],
		[
			'pools', 'SELECT count(*)::text FROM shared.pools',
			'0',     'a table is shown by a view, as every table is'
		],
		[
			'invoker', 'SELECT count(*)::text FROM shared.invoker',
			'42501',   'but not by one with security_invoker'
		],
		[
			'definer', 'SELECT shared.count_budgets()::text',
			'0',       'a SECURITY DEFINER function shows what its owner may see'
		],
		['others', 'SELECT shared.others()::text', 'true',  'of sessions, too'],
		['act',    'SELECT shared.act()::text',    '42501', 'and may do no more than its owner'],
		[
			'function', 'SELECT shared.invoker()::text',
			'42501',    'any other function shows what its caller may see'
		]
	  )
	{
		my (undef, $sql, $expected, $what) = @$_;
		is(as($node, 'plain', 'SELECT probe.try($x$' . $sql . '$x$)'), $expected, $what);
	}
	is(
		as(
			$node,
			'other',
			q{SELECT probe.try('SELECT bool_and(state IS NOT NULL) FROM shared.sessions WHERE usename = ''other''')}
		),
		'true',
		'everybody sees his own sessions'
	);
};

subtest 'who hands pg_signal_backend on has done so' => sub {
	as($node, 'signaller', <<'EOS');
CREATE SCHEMA acting;
GRANT USAGE ON SCHEMA acting TO PUBLIC;
CREATE FUNCTION acting.act() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
	AS 'SELECT count(*) FROM pool_monitor.recycle(dry_run => false)';
EOS
	is(as($node, 'plain', 'SELECT acting.act()'),
		'0', 'who hands pg_signal_backend on by a SECURITY DEFINER function has done so');
};

$other->close;
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
