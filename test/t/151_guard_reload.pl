# Whoever has been told by reload() that declarations are loaded finds the guards going by them,
# also those that only report, however rarely the worker looks. The worker is stopped where it
# takes too long.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query logs_in insert_pool);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('guard_reload', "pool_monitor.sample_interval = 1min\n");
query($node, 'CREATE ROLE app LOGIN');

my $guard  = "SELECT guard, armed, connection_limit FROM pool_monitor.guards WHERE pool = 'web'";
my $reload = 'SELECT pool_monitor.reload()';

sub then_told
{
	my ($sql) = @_;
	query($node, $sql);
	query($node, $reload);
	return query($node, $guard);
}

subtest 'as soon as it is loaded' => sub {
	is(
		then_told(insert_pool('web', usename => "'app'", max_overflow => -1, guard => "'report'")),
		'report|t|',
		'what has no limit'
	);
	is(
		query($node, 'SELECT pool, in_force_since IS NULL FROM pool_monitor.guards ORDER BY pool'),
		"web|f\n|t",
		'since when; what is undeclared has nothing yet'
	);
	query($node, 'DELETE FROM pool_monitor.pools');
	is(
		then_told(
			insert_pool(
				'web',
				pool_size    => 3,
				max_overflow => 0,
				usename      => "'app'",
				guard        => "'report'"
			)
		),
		'report|t|3',
		'what only reports'
	);
	foreach my $size (4 .. 6)
	{
		is(then_told("UPDATE pool_monitor.pools SET pool_size = $size"),
			"report|t|$size", 'another limit');
	}
	is(then_told("UPDATE pool_monitor.pools SET guard = 'enforce'"), 'enforce|t|6', 'what refuses');
	is(then_told("UPDATE pool_monitor.pools SET guard = 'off'"),     'off|f|',      'nothing');
	query($node, "SELECT pool_monitor.reload() FROM generate_series(1, 20)");
	pass('and again, with nothing new');
};

subtest 'since when it goes by that' => sub {
	my $pool = "FROM pool_monitor.guards WHERE pool = 'web'";
	my @step = (
		['off',    'report',  'f', 'what refuses nobody is not of a pool without one'],
		['report', 'report',  't', 'but of what is counted'],
		['off',    'enforce', 't', 'what is reserved is of any'],
	);
	foreach (@step)
	{
		my ($guard, $other, $moves, $what) = @$_;
		query($node, 'DELETE FROM pool_monitor.pools WHERE name = $$other$$');
		then_told("UPDATE pool_monitor.pools SET guard = '$guard'");
		my $since = query($node, "SELECT in_force_since $pool");
		then_told(
			insert_pool(
				'other',
				pool_size => 2,
				usename   => "'app'",
				guard     => "'$other'",
				reserved  => 2
			)
		);
		is(query($node, "SELECT in_force_since > '$since' $pool"), $moves, $what);
	}
	query($node, 'DELETE FROM pool_monitor.pools WHERE name = $$other$$');
	then_told("UPDATE pool_monitor.pools SET guard = 'off'");
};

subtest 'of that which takes too long it is told' => sub {
	my $worker = query($node, 'SELECT worker FROM pool_monitor.health');
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN; LOCK pool_monitor.pools IN ACCESS EXCLUSIVE MODE');

	# the loader waits for the table; then the worker stands still, and the table is free
	my $asked = $node->background_psql('postgres', on_error_stop => 0);
	$asked->query_until(qr/asked/, "\\echo asked\n$reload;\n\\echo done\n");
	wait_for(
		$node,
		"SELECT count(*) > 0 FROM pg_locks AS l WHERE NOT l.granted AND l.relation = 'pool_monitor.pools'::regclass",
		'the loader waits'
	);
	kill 'STOP', $worker;
	$holder->query_safe("UPDATE pool_monitor.pools SET guard = 'report'");
	$holder->query_safe('COMMIT');
	$holder->quit;
	$asked->query_until(qr/done/, '');
	like(
		$asked->{stderr},
		qr/WARNING:  the declared pools are loaded, but after 5 seconds the guards do not go by them yet/,
		'a warning'
	);
	unlike($asked->{stderr}, qr/ERROR/, 'and no error: they are loaded');
	kill 'CONT', $worker;
	$asked->quit;
	is(then_told('SELECT 1'), 'report|t|6', 'it goes on');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
