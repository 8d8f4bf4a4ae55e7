# Before the declarations are loaded every session is undeclared, and when they cannot be, for
# good; likewise when the extension is dropped. The limit of what is undeclared must not be held
# against those. Needs a server whose declarations cannot be loaded.
use strict;
use warnings FATAL => 'all';
use PoolMonitorGuard;
use PoolMonitor qw(:DEFAULT holder logs_in);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_unloaded',
	"pool_monitor.undeclared_guard = enforce\npool_monitor.undeclared_budget = 5\n");

sub fits { return logs_in($node, 'user=app application_name=hub') }

# superusers', who are counted and never refused
sub hub { return holder($node, 'hub', sessions => 6) }

pools($node, guard('web', 2, usename => "'app'"));
wait_for_guards($node, undef, 'armed', 't', 'what is undeclared has a limit');
my $hub = hub();
ok(!fits(), 'which is kept');
$hub->close;

setting($node, 'pool_monitor.database', 'nowhere');
my $log = -s $node->logfile;
$node->restart;
$node->wait_for_log(qr/LOG: .*nowhere/, $log);
$hub = hub();
ok(fits(), 'without declarations everybody gets in');
is(query($node, guards(undef, 'armed, places >= 6')), 'f|t', 'and is counted');

setting($node, 'pool_monitor.database', 'postgres');
query($node, 'SELECT pool_monitor.reload()');
wait_for_guards($node, undef, 'armed', 't', 'when they are loaded it is there again');
ok(!fits(), 'and kept');

query($node, 'DROP EXTENSION pool_monitor');
my $tries = 0;
until (fits() || $tries++ == 100) { select(undef, undef, undef, 0.3) }
cmp_ok($tries, '<', 100, 'without the extension there is none');
$hub->close;

$node->stop;
done_testing();
