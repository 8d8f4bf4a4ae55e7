# The retirement race: eight clients that run a two-step statement every
# millisecond while retirement is asked of every session that is idle, for
# RACE_SECONDS (60). Not one statement may be begun and not finished. The same
# load with pg_terminate_backend() shows that the test can see the difference.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{RACE_SECONDS} || 60;
my $node =
  new_server('race', "pool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\n");
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# No sane pool recycles after a millisecond, and the table says so; here it
# means that every session is asked, again and again.
declare($node,
	'ALTER TABLE pool_monitor.pools DROP CONSTRAINT "pool_recycle must be NULL (never), or 1 second to 365 days";'
	  . "INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('race', 'race', '1 ms', '0')"
);

sub race
{
	my ($how, $for) = @_;
	my $dsn = $node->connstr('postgres');
	my ($out, $err) = run_command(
		[python(), "$FindBin::RealBin/../clients/race.py", "$dsn user=app", 8, $for, $how, $dsn]);
	note("$how for $for s: $out");
	return {$out =~ /(\w+)=(-?\d+)/g};
}

my $result = race('retire', $seconds);
cmp_ok($result->{asked},      '>', 20 * $seconds,    'many were asked');
cmp_ok($result->{ended},      '>', $seconds,         'many were retired');
cmp_ok($result->{asked},      '>', $result->{ended}, 'some declined');
cmp_ok($result->{statements}, '>', 100 * $seconds,   'many statements ran');
is($result->{cut}, 0, 'not one statement begun and not finished');
is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'no PANIC');

$result = race('terminate', 8);
cmp_ok($result->{cut}, '>', 0,
	'pg_terminate_backend() on idle sessions cuts statements, and this test sees it');
done_testing();
