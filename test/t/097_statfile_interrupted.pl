# A worker that is told to end while it reads the file of statistics: what is in there is
# counted once. Needs a library of the tests (test/modules) that sends the signal at that
# very moment, and a file of another version, which is told of then.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node    = statfile_server('statfile_interrupted');
my $file    = file_of($node);
my $unknown = qr/WARNING:  pool_monitor does not know all that is in its file of statistics/;
my $stats   = stats(['app', 'batch'], 'observed');

come_and_go($node);
my $before = query($node, $stats);
$node->stop;
is(field(contents($file), 'complete'), 1, 'the server has shut down in good order');
my $parsed = parsed(contents($file));
add_field($parsed, 'account', 'counted migrated', 1);
put_contents($file, built($parsed));

$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'pool_monitor, $FindBin::RealBin/../modules/pool_monitor_terminate/pool_monitor_terminate'\n"
);
my $offset = -s $node->logfile;
$node->start;
wait_for_log(
	$node,
	qr/terminating background worker "pool_monitor"/,
	'the worker is told to end, and ends', $offset
);
is(field(contents($file), 'complete'), 0, 'when it has saved what it has read');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($worker) AS w"),
	'it comes again');
worker_works($node, 0.2);
is(query($node, $stats),       $before, 'and everything is counted once');
is(log_count($node, $unknown), 1,       'read once');
is(
	query($node, $events),
	'started, statistics_lost: written by another version',
	'and told of once'
);
$node->stop;

done_testing();
