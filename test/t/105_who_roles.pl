# Many roles, each with an application that was there for a moment: they take the histories of
# each other, not that of an application that is still there. Only TAP has clients that come
# and go.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query holder_of);
use Test::More;

# As many as there are places, with the one that stays.
use constant ROLES => 24;

my $node = new_server('who_roles');
query($node, "CREATE ROLE $_ LOGIN") foreach 'honest', map { "r$_" } 1 .. ROLES;
my $payroll = holder_of('honest', $node, 'payroll', sessions => 2);
my $names   = "SELECT string_agg(usename, ' ') FROM pool_monitor.holders() WHERE application_name";
wait_for($node, "$names = 'payroll'", 'it has a history', 'honest');

foreach my $i (1 .. ROLES)
{
	my $evil = holder_of("r$i", $node, "evil $i", sessions => 3);
	wait_for($node, "$names = 'evil $i'", 'another one comes', "r$i");
	$evil->close;
	wait_for($node,
		"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'evil $i'",
		'and goes', 0);
}
is(query($node, "$names = 'payroll'"), 'honest', 'what is still there keeps its history');
$payroll->close;
done_testing();
