# A login that the guard refuses at its pool's limit: a session of the pool that has been
# idle for too long ends itself, so that the next try gets in.

use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PoolMonitor;
use PoolMonitorYield;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node   = yield_server('yield');
my $closed = query($node,
	q{SELECT to_char(now() AT TIME ZONE 'UTC' + '2 h', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE 'UTC' + '3 h', 'HH24:MI') || ' UTC'}
);
declare(
	$node,
	join '',
	guarded('own',     budget => 3, idle_limit => "'4 s'"),
	guarded('control', budget => 4),
	guarded('many',    budget => 4),
	guarded('based',   budget => 2, pool_size      => 2),
	guarded('roles',   budget => 4, pool_size      => 2),
	guarded('reports', budget => 2, recycle_mode   => "'report'"),
	guarded('shut',    budget => 2, recycle_window => "'$closed'")
);

# One is busy, one idle, and one in use again and again.
my $own     = app_holder($node, 'own', 3);
my $idle    = $own->do('pid 1');
my $knocker = knocker($node, 'own');
my $in_use  = sub { $own->do('sql 2 SELECT 1'); $knocker->do('use'); };
$own->do('busy 1');
for (; ;)
{
	$in_use->();
	last
	  if query($node, "SELECT idle_over_limit FROM pool_monitor.sessions WHERE pid = $idle") eq 't';
}
is_refused($knocker, 'a login is refused at the limit');
gets_in($knocker, 'the next ones get in', $in_use);
wait_for($node, "SELECT retired FROM pool_monitor.pool_stats WHERE pool = 'own'", 'one has gone',
	1);
is(gave_way($node, 'own'), $idle, 'and it was the idle one');

# What must not go, and what lets it go.
my $control = knocker($node, 'control');
my %kept    = (
	own     => $own,
	based   => app_holder($node, 'based',   2),
	reports => app_holder($node, 'reports', 2),
	shut    => app_holder($node, 'shut',    2)
);
my @roles    = (app_holder($node, 'roles', 2), holder_of('other', $node, 'roles', sessions => 2));
my $others   = app_holder($node, 'control', 4);
my $many     = knocker($node, 'many');
my $manifold = app_holder($node, 'many', 4);
my %let_go   = (
	based   => 'pool_size = 1',
	roles   => 'pool_size = 1',
	reports => "recycle_mode = 'terminate'",
	shut    => 'recycle_window = NULL'
);
my %knockers = (own => $knocker, map { $_ => knocker($node, $_) } keys %let_go);
is_idle($node, $_) foreach 'control', keys %let_go;
worker_looks($control, sub { $in_use->(); knock($_) foreach values %knockers; });
$own->do('free');
is($own->do("sql $_ SELECT 1"), 1, "own: session $_ has stayed") foreach 0, 2;

foreach my $pool ('own', sort keys %let_go)
{
	my $was = $pool eq 'own' ? 1 : 0;
	is(retired($node, $pool), $was, "$pool: nobody else has gone");
}
foreach my $pool (sort keys %let_go)
{
	declare($node, "UPDATE pool_monitor.pools SET $let_go{$pool} WHERE name = '$pool'");
	gets_in($knockers{$pool}, "$pool: but for $let_go{$pool}");
	is(retired($node, $pool), 1, "$pool: one has gone");
}

# What stops it, and what lets it go on.
foreach my $setting (['recycle_enabled', 'off', 'on'], ['recycle_limit', '1', '100'])
{
	my ($name, $stop, $go) = @$setting;
	$node->append_conf('postgresql.conf', "pool_monitor.$name = $stop");
	$node->reload;
	wait_for($node, "SELECT current_setting('pool_monitor.$name')", "$name is $stop", $stop);
	is_idle($node, 'control');
	my $before = retired($node, 'control');
	my $end    = Time::HiRes::time() + 3;
	my $in     = 0;
	while (Time::HiRes::time() < $end) { $in += knock($control) eq 'in'; }
	is($in,                       0,       "$name = $stop: nobody gets in");
	is(retired($node, 'control'), $before, "$name = $stop: nobody goes");
	$node->append_conf('postgresql.conf', "pool_monitor.$name = $go");
	$node->reload;
	gets_in($control, "$name = $go: somebody does");
}

# Who was refused before a place was free, and has taken it at once, wants no second one.
for my $round (1 .. 3)
{
	is_idle($node, 'many');
	$many->do('storm 1 1');
	worker_looks($control, sub { });
	is(retired($node, 'many'), $round, 'many: one for one that gets in');
}

# The schedule's turn stays as it was: with a gap of five seconds after one of its own.
declare($node, guarded('turn', budget => 3, max_overflow => 0, idle_limit => "'5 s'"));
my $turn = app_holder($node, 'turn', 3);
my $next = knocker($node, 'turn');
is_idle($node, 'turn');
is_refused($next, 'turn: refused');
gets_in($next, 'turn: gets in');
declare($node, q{UPDATE pool_monitor.pools SET shrink_idle = true WHERE name = 'turn'});
wait_for(
	$node,
	q{SELECT count(*) FROM pool_monitor.events WHERE event = 'retired' AND pool = 'turn' AND detail ->> 'rule' = 'idle'},
	'the schedule goes on',
	1
);
ok(
	query($node,
		q{SELECT max(at) - min(at) < '4 s' FROM pool_monitor.events WHERE event = 'retired' AND pool = 'turn'}
	) eq 't',
	'without waiting for its turn'
);

# It goes on while the server refuses logins, which pauses the schedule.
my $filler = knocker($node, 'filler');
while (knock($filler) eq 'in') { }
wait_for(
	$node,
	q{SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_paused' AND detail ->> 'reason' = 'refusals'},
	'the server is full, and retirement pauses',
	1
);
$filler->close;
is_idle($node, 'control');
is_refused($control, 'paused: refused');
gets_in($control, 'paused: gets in');
is(query($node, q{SELECT count(*) FROM pool_monitor.events WHERE event = 'retirement_resumed'}),
	0, 'while it still pauses');

done_testing();
