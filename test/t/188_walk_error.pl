# A walk through what a role is a member of that was cut off, and that an error ends while it
# goes on, because there is no memory: it begins anew. Needs a role with more memberships than
# one look goes through, and a library of the tests that takes memory from the worker.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool holder worker_pid);
use PostgreSQL::Test::Utils;
use Test::More;

my $roles  = 1000;    # in a row, each a member of the next
my $module = "$FindBin::RealBin/../modules/pool_monitor_forge/pool_monitor_forge";
my $node   = new_server('walk_error', <<"EOC");
shared_preload_libraries = 'pool_monitor,$module'
pool_monitor.recycle_interval = 100ms
pool_monitor.protected_roles = 'guards'
pool_monitor_forge.context = 'pool_monitor memberships'
pool_monitor_forge.bytes = 10000
EOC

# The last first: who reads all memberships in order finds one more each time. And thousands
# of others, among which that takes its time.
query($node, <<"EOS");
CREATE ROLE guards;
CREATE ROLE r$roles;
SELECT format('CREATE ROLE r%s LOGIN IN ROLE r%s', i - 1, i) FROM generate_series($roles, 1, -1) AS i \\gexec
SELECT format('CREATE ROLE g%s; CREATE ROLE m%s', i, i) FROM generate_series(1, 70) AS i \\gexec
SELECT format('GRANT %s TO %s', string_agg('g' || i, ', '), string_agg('m' || i, ', ')) FROM generate_series(1, 70) AS i \\gexec
EOS
my $worker = worker_pid($node);
my $offset = -s $node->logfile;
my $holder = holder($node, 'deep', user => 'r0', sessions => 1);
declare(
	$node,
	insert_pool(
		'deep',
		pool_size     => 1,
		pool_recycle  => "'1 s'",
		recycle_grace => "'0'",
		recycle_mode  => "'terminate'"
	)
);

my $forged = qr/forged: no memory in a worker/;
wait_for_log($node, qr/$forged.*$forged/s, 'a walk has no memory, and the next one neither',
	$offset);
my ($between) = PoolMonitor::log_text($node, $offset) =~ /$forged(.*?)$forged/s;
like($between, qr/puts off looking whom to retire.*there is no memory: forged/, 'which is logged');
like(
	$between,
	qr/forged: what had no memory is gone/,
	'nothing of a walk is left that had an error'
);
is(worker_pid($node), $worker, 'the worker is the one that it was');
is(query($node, q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'deep'}),
	1, 'nobody is retired whose memberships are not known');

append_to_file($node->data_dir . '/postgresql.conf', "pool_monitor_forge.bytes = 0\n");
$node->reload;
wait_for(
	$node,
	q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'deep'},
	'with memory the walk comes to its end', 0
);
is(worker_pid($node),                                   $worker, 'in the same worker');
is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0,       'nothing broke');
$holder->close;
done_testing();
