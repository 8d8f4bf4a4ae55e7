# A pool in which no transaction ends keeps everybody waiting and has no slow transaction in
# any count: advice says it while it is so. Needs sessions that are busy for as long as the test
# wants.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('slow_now');
pools($node,
	row('web', workers => 1, pool_size => 3, max_overflow => 0, leak_threshold => "'1 h'"));

my $told = "SELECT evidence FROM pool_monitor.advice WHERE topic = 'slow_holds'";

sub busy
{
	local $ENV{PGAPPNAME} = 'web';
	my $session = $node->background_psql('postgres', extra_params => [qw(-U app)]);
	$session->query_safe('BEGIN; SELECT 1');
	return $session;
}

sub for_a_second
{
	my ($n) = @_;
	return wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.sessions WHERE pool = 'web' AND xact_age > '1 s'",
		"$n for a second", $n
	);
}

my @busy = map { busy() } 1 .. 2;
for_a_second(2);
is(query($node, $told), '', 'below its ceiling it keeps nobody waiting');
push @busy, busy();
for_a_second(3);
like(
	query($node, $told),
	qr/^now: 3 of 3 busy connections for a second or more, the longest for 00:00:\d\d; ceiling 3$/,
	'at its ceiling'
);
my ($statement) =
  query($node, "SELECT recommendation FROM pool_monitor.advice WHERE topic = 'slow_holds'") =~
  /: (SELECT .*)\.$/;
is(query($node, "SELECT count(*) FROM ($statement) AS s"),
	3, 'and what they do, by the statement that it gives');

# until one look is within their first second
my $seen;
foreach (1 .. 20)
{
	$_->query_safe('COMMIT; BEGIN; SELECT 1') foreach @busy[0, 1];
	$seen = query($node, $told);
	last if $seen eq '';
}
is($seen, '', 'most are quick');
query($node, "UPDATE pool_monitor.pools SET leak_threshold = '1 s'; SELECT pool_monitor.reload()");
for_a_second(3);
is(query($node, $told), '', 'those that leak have a topic of their own');
$_->quit foreach @busy;

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
