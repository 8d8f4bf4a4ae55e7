# A login that the guard refuses because others fill what is not reserved: one of those has
# to give way, and not one whose place would not help.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor;
use PoolMonitorYield;
use PostgreSQL::Test::Utils;
use Test::More;

my $full = qr/remaining connection slots are reserved for/;

# Of 57 that can be used 45 are reserved, so 12 are anybody's.
my $node = yield_server('yield_shared',
	"superuser_reserved_connections = 3\npool_monitor.protected_roles = 'prot'\n");
query($node, 'CREATE ROLE prot LOGIN');
declare(
	$node,
	join '',
	guarded('vip',     reserved => 42,      budget    => 50),
	guarded('control', reserved => 3,       budget    => 3),
	guarded('hog',     guard    => "'off'", pool_size => 2),
	guarded('hog2',    guard    => "'off'"),
	guarded('victim',  guard    => "'off'"),
	guarded('report',  guard    => "'report'")
);

# Idle for the longest: within a reserve, of a superuser, of a protected role.
my $vip    = app_holder($node, 'vip',     3);
my $inside = app_holder($node, 'control', 3);
my @exempt = (holder($node, 'hog', sessions => 3), holder_of('prot', $node, 'hog', sessions => 3));
my $hog2   = app_holder($node, 'hog2', 2);
my $hog    = app_holder($node, 'hog',  4);
my ($second, $first) = ($hog->do('pid 0'), $hog2->do('pid 0'));
is_idle($node, $_) foreach 'vip', 'control', 'hog', 'hog2';
is(query($node, q{SELECT shared_free FROM pool_monitor.guards WHERE pool = 'vip'}),
	0, 'no place is left');

# A pool that declares nothing of the guard.
my $victim = knocker($node, 'victim');
is_refused($victim, 'a login finds no place', $full);
gets_in($victim, 'the next ones get in');
is(gave_way($node, 'hog2'), $first, 'the one that was idle for the longest went');
is(retired($node, $_), 0, "$_: none") foreach 'vip', 'hog';

# hog2 is at its base, and the victim, too: hog is next.
is_refused($victim, 'a second one finds no place', $full);
gets_in($victim, 'and gets in');
is(gave_way($node, 'hog'), $second, 'the next one went');

# For what is undeclared nobody goes, though one more could.
my $undeclared = knocker($node, 'undeclared');
my $refused    = 0;
worker_looks(knocker($node, 'control'), sub { $refused += knock($undeclared) =~ $full });
cmp_ok($refused, '>', 1, 'what is undeclared is refused');
is_refused($undeclared, 'and stays out', $full);
is(retired($node, 'hog'), 1, 'for that nobody goes');
my $report = knocker($node, 'report');
is_refused($report, 'a guard that only reports keeps nobody from being refused', $full);
gets_in($report, 'but gets in');
is(retired($node, 'hog'), 2, 'for that one more went');

# At last there is nobody left but those at base, and the exempt.
is($_->do('all SELECT 1'), 'ok', 'none of the exempt has gone') foreach $vip, @exempt;
is(retired($node, 'hog2'), 1, 'nor anybody of base');

done_testing();
