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

# Sixty minutes, the nth of which has so many transactions, and what comes of it: the wait, and
# how many arrivals are simulated of each replication.
sub waits
{
	my ($transactions) = @_;
	query($node, <<EOS);
BEGIN;
SELECT replay_rings(ARRAY(SELECT date_trunc('minute', now()) - n * interval '1 minute' FROM generate_series(60, 1, -1) AS n),
	ARRAY[date_trunc('hour', now())]);
SELECT count(replay_stretch('web', '1 minute', date_trunc('minute', now()) - n * interval '1 minute', 60, 10, 10, 8, 10,
	0, 0, 0, 0, ($transactions)::int, 0, 0, 0)) FROM generate_series(1, 60) AS n;
COMMIT
EOS
	return split /\|/,
	  query($node,
		"SELECT wait_p95, arrivals FROM pool_monitor.simulate('web', span => '2 hours')");
}

my ($steady, $arrivals) = waits(960);
cmp_ok($steady, '>', 0.5, 'a load of 8 for 10 waits');

# The square root of 960 is 31.
my ($by_chance) = waits('960 + 30 * (-1) ^ n');
cmp_ok(abs($by_chance / $steady - 1), '<', 0.01, 'by chance more and less: the same');

my ($uneven, $as_many) = waits('960 + 320 * (-1) ^ n');
cmp_ok($uneven, '>', 2 * $steady,                'far more and far less: that is what waits');
cmp_ok(abs($as_many / $arrivals - 1), '<', 0.02, 'of as many');

# One minute alone, in which five times as many came.
my ($one) = waits('CASE n WHEN 30 THEN 4800 ELSE 960 END');
cmp_ok($one, '>', 3 * $steady, 'one of them: it keeps its own');

$node->stop;
done_testing();
