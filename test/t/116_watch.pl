# "make watch": with a real Prometheus no alert fires at rest, and those that should do when
# a fourth worker starts. Needs all of it: pools, exporter, Prometheus, minutes of waiting.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorPrometheus;
use PostgreSQL::Test::Utils;
use Test::More;

my $missing = program_missing('prometheus', 'prometheus-postgres-exporter');
plan skip_all => "there is no $missing" if $missing;

my $node = new_server('watch', "max_connections = 100\n");
my $root = "$FindBin::RealBin/../..";
local $ENV{PGPORT}                  = $node->port;
local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
my ($out, $err) = run_command(
	[
		python(),                           "$root/test/demo/watch.py",
		$node->host,                        "$root/monitoring",
		PostgreSQL::Test::Utils::tempdir(), '--once'
	]
);
is($err, '', 'it says nothing else');
unlike($out, qr/UNEXPECTED/, 'all as expected');
like($out, qr/No alert fires\n/,                 'at rest no alert fires');
like($out, qr/alert PoolOverBudget ems: firing/, 'a fourth worker: over the budget');
like($out, qr/alert PoolExhausted ems: firing/,  'and nothing is left to check out');
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
