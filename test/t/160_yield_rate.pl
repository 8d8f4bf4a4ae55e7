# How many sessions give way: one a second of each pool, however many are refused, and
# nobody for those that come too fast, or came long ago.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor qw(:DEFAULT worker_pid);
use PoolMonitorYield;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = yield_server('yield_rate', "superuser_reserved_connections = 3\nmax_connections = 80\n");
declare(
	$node, join '',
	guarded('storm',   budget => 8),
	guarded('control', budget => 5),
	guarded('herd',    budget => 4),
	guarded('late',    budget => 3)
);
my @holders =
  (app_holder($node, 'storm', 8), app_holder($node, 'control', 5), app_holder($node, 'late', 3));
my %knocker = map { $_ => knocker($node, $_) } 'storm', 'control', 'late';
is_idle($node, $_) foreach 'storm', 'control', 'late';

# One a second, so that four take three.
my $begin   = Time::HiRes::time();
my $refused = $knocker{storm}->do('storm 4 8');
my $took    = Time::HiRes::time() - $begin;
cmp_ok($refused, '>', 20,  "many are refused ($refused)");
cmp_ok($took,    '>', 2.9, "one a second gets in ($took s)");
wait_for(
	$node,
	"SELECT retired >= 4 FROM pool_monitor.pool_stats WHERE pool = 'storm'",
	'those that took their places have gone'
);

# A fifth may, for one that was refused when the fourth had gone.
my $went = retired($node, 'storm');
cmp_ok($went, '<=', 1 + Time::HiRes::time() - $begin, "never more than one a second ($went)");

# The worker stands still until the refusal is too old.
is_idle($node, 'late');
my $worker = worker_pid($node);
kill 'STOP', $worker;
is_refused($knocker{late}, 'late: refused');
my $then = Time::HiRes::time();
Time::HiRes::sleep(0.1) while Time::HiRes::time() < $then + 5.5;
kill 'CONT', $worker;
worker_looks($knocker{control}, sub { });
is(retired($node, 'late'), 0, 'nobody goes for one that was refused long ago');
is_refused($knocker{late}, 'late: refused again');
gets_in($knocker{late}, 'late: gets in');

# A role that is in a storm keeps its sessions till that is over.
my $herd = knocker($node, 'herd');
my $kept = app_holder($node, 'herd', 4);
is_idle($node, 'herd');
gets_in($herd, 'herd: gets in');
$kept->do('close 2');
for (1 .. 80)
{
	$herd->do('leave');
	until (knock($herd) eq 'in') { }
}
wait_for($node, "SELECT places FROM pool_monitor.guards WHERE pool = 'herd'", 'they have gone', 2);
$kept->do('open 2');
wait_for($node, "SELECT count(*) FROM pool_monitor.events WHERE event = 'storm' AND pool = 'herd'",
	'a storm', 1);
worker_looks($knocker{control}, sub { knock($herd) });
is(retired($node, 'herd'), 1, 'herd: nobody goes');
is(
	query(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'storm_over' AND pool = 'herd'"
	),
	0,
	'while it lasts'
);
gets_in($herd, 'herd: gets in after it');

# Those that come too fast, while what is anybody's is full: for these nobody goes. The one
# that took the token has taken the last place, too.
declare(
	$node, join '',
	guarded('vip',  budget => 60, reserved => 40),
	guarded('hog',  guard  => "'off'"),
	guarded('fast', budget => 20, connect_rate => 1, connect_burst => 1)
);
my $fast = knocker($node, 'fast');
my $hog  = app_holder($node, 'hog', 1);

# of which this one has a place itself: two are left
$hog->do('open '
	  . (query($node, q{SELECT shared_free FROM pool_monitor.guards WHERE pool = 'vip'}) - 1));
is_idle($node, 'hog');
is(knock($fast), 'in', 'fast: to its base');
my $gone = "SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool <> 'control'";
my $too_fast = 0;
my $before;
for (1 .. 100)
{
	$before = query($node, $gone);

	# a token comes once a second
	next if knock($fast) ne 'in';
	$too_fast = knock($fast) =~ /too many logins at a time for pool "fast"/;
	last if $too_fast;
	$fast->do('leave');
}
ok($too_fast, 'one comes too fast');
worker_looks($knocker{control}, sub { });
is(query($node, $gone), $before, 'for that nobody goes');
is_refused($fast, 'now one finds no place', qr/remaining connection slots are reserved/);
gets_in($fast, 'and gets in');
wait_for($node, $gone, 'for that one goes', $before + 1);

done_testing();
