# What fit() and advice leave room for: connections in no pool, but not those of before
# pools were declared for them, also after the server has started anew. Needs a restart.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query app_holder insert_pool);
use Test::More;

my $node = new_server('before', "max_connections = 60\npool_monitor.sample_interval = 50ms\n");
my $most = 'SELECT pool_monitor.undeclared_most()';
query($node, 'CREATE ROLE app LOGIN');

my $web = app_holder($node, 'web', 12);
wait_for(
	$node,
	"SELECT max(max_connections) >= 12 FROM pool_monitor.history WHERE pool = '(undeclared)'",
	'they are in no pool'
);
cmp_ok(query($node, $most), '>=', 12, 'which is known');
declare($node, insert_pool('web', pool_size => 12, max_overflow => 0));
cmp_ok(query($node, $most), '<', 12, 'and is over when they are declared');
$web->close;

foreach my $start ('a start', 'another one')
{
	$node->restart;
	wait_for($node, 'SELECT pool_monitor.declarations_loaded()', "$start of the server: loaded");
	cmp_ok(
		query(
			$node,
			"SELECT max(max_connections) FROM pool_monitor.history WHERE pool = '(undeclared)'"
		),
		'>=', 12,
		'the history has them'
	);
	cmp_ok(query($node, $most), '<', 12, 'but nothing is left free for them');
}

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
