# What simulate() takes for a minute's rate: what it has by chance alone is no rate, and what it
# has besides is. Needs a past.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorAdvice;
use Test::More;

my $node = advice_server('rates');
pools($node, row('web', pool_size => 10, max_overflow => 0));
wait_for(
	$node,
	"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = 'web'",
	'the pool has a history'
);
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 60s\n");
$node->reload;
query($node,
	"SELECT count(replay_holds('web', (-500000 * ln((i - 0.5) / 20000))::bigint, 1)) FROM generate_series(1, 20000) AS i"
);

# Sixty minutes, the nth of which has so many transactions, in ticks of a second the squares of
# which sum up to so many, or are as chance makes them.
sub past
{
	my ($transactions, $squares) = @_;
	$squares //= "($transactions) + ($transactions) ^ 2 / 60";
	my $minute = "date_trunc('minute', now()) - n * interval '1 minute'";
	query($node, <<EOS);
BEGIN;
SELECT replay_rings(ARRAY(SELECT $minute FROM generate_series(60, 1, -1) AS n), ARRAY[date_trunc('hour', now())]);
SELECT count(replay_stretch('web', '1 minute', $minute, 60, 10, 10, 8, 10, 0, 0, 0, 0, ($transactions)::int, 0, 0, 0))
	FROM generate_series(1, 60) AS n;
SELECT count(replay_arrivals('web', 60, ($squares)::bigint, 0, 0, 0, 0, $minute)) FROM generate_series(1, 60) AS n;
COMMIT
EOS
	return;
}

sub simulated
{
	my ($column, $sizes) = @_;
	return query($node,
		"SELECT $column FROM pool_monitor.simulate('web', span => '2 hours'$sizes)");
}

sub waits
{
	past(@_);
	return simulated('wait_p95', '');
}

my $steady = waits(960);
cmp_ok($steady, '>', 0.5, 'a load of 8 for 10 waits');

# The square root of 960 is 31.
cmp_ok(abs(waits('960 + 30 * (-1) ^ n') / $steady - 1),
	'<', 0.01, 'by chance more and less: the same');
cmp_ok(waits('960 + 320 * (-1) ^ n'), '>', 2 * $steady, 'far more and far less: that waits');
cmp_ok(
	waits('CASE n WHEN 30 THEN 4800 ELSE 960 END'),
	'>',
	3 * $steady,
	'five times as many, once: they do'
);

# What stands out by its bursts does not become the load of those around, nor gets lost: of a
# load of 8 there are 8 connections that are busy, and one that waits for more.
past('CASE WHEN n % 10 = 0 THEN 1500 ELSE 480 END',
	'CASE WHEN n % 10 = 0 THEN 1500 + 1020 ^ 2 ELSE 480 + 480 ^ 2 / 60 END');
my $connections = simulated('connections', ', pool_size => 1, max_overflow => -1');
cmp_ok($connections, '>', 7.8, 'in bursts, all of them');
cmp_ok($connections, '<', 9.2, 'and no more');

$node->stop;
done_testing();
