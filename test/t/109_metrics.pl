# The views for those who collect metrics, and metrics(): that they say what the other views
# say, never NULL, in a form that can be read. Needs sessions that hold, and odd names.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query insert_pool app_holder logs_in);
use Test::More;

my $node = new_server('metrics');
query($node,
	'CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE nobody LOGIN'
);

# One figure of a pool.
sub metric
{
	my ($columns, $pool) = @_;
	return query($node,
		"SELECT $columns FROM pool_monitor.metrics_pool WHERE pool = '" . ($pool // 'web') . "'");
}

# What is NULL in any row of them.
my $nulls = join ' UNION ALL ', map {
	"SELECT '$_.' || e.key FROM pool_monitor.$_ AS m, jsonb_each(to_jsonb(m)) AS e WHERE e.value = 'null'"
} 'metrics_pool', 'metrics_server', 'metrics_application';

# The samples of metrics(), by what is before their value; each line is one, or a comment.
sub samples
{
	my ($arguments) = @_;
	my %samples;
	foreach my $line (split /\n/, query($node, "SELECT pool_monitor.metrics($arguments)"))
	{
		next
		  if $line =~
		  /^# (HELP pool_monitor_\w+ \S.*|TYPE pool_monitor_\w+ (gauge|counter|histogram))$/;
		$line =~ /^(pool_monitor_[a-z_]+(\{(\w+="([^"\\]|\\["\\n])*",?)+\})?) (-?[0-9.e+-]+)$/
		  or fail("a line that nobody can read: $line");
		fail("a series that is there twice: $1") if exists $samples{$1};
		$samples{$1} = $5;
	}
	return %samples;
}

subtest 'no pool at all' => sub {
	is(query($node, $nulls), '', 'nothing is NULL');
	is(query($node, 'SELECT pool FROM pool_monitor.metrics_pool'),
		'(undeclared)', 'what is in no pool has its row');
};

declare($node,
		insert_pool('web', usename => "'app'", pool_size => 2, max_overflow => 1)
	  . insert_pool('free', pool_size => 1, max_overflow => -1));
my $web = app_holder($node, 'web', 4);
$web->do('sql 0 SELECT pg_sleep(0.2)');
$web->do('sql 1 BEGIN');

subtest 'as the other views say' => sub {
	is(query($node, $nulls), '', 'nothing is NULL');
	is(metric('status, base, ceiling, budget, connections, busy, idle, over_budget'),
		'3|2|3|3|4|1|3|1', 'live: over its budget');
	is(metric('ceiling = budget AND ceiling = (SELECT usable FROM pool_monitor.server)', 'free'),
		't', 'no bound: what there is');
	is(
		query(
			$node,
			"SELECT (m.connects_total, m.transactions_total, m.refused_total) = (s.connects, s.transactions, s.refused) FROM pool_monitor.metrics_pool AS m JOIN pool_monitor.pool_stats AS s USING (pool) WHERE pool = 'web'"
		),
		't',
		'counted'
	);
	is(
		metric(
			'hold_seconds_count = transactions_total, hold_seconds_bucket[4] < hold_seconds_count, hold_seconds_bucket[5] = hold_seconds_count, hold_seconds_sum BETWEEN 0.18 AND 5'
		),
		't|t|t|t',
		'a hold of 0.2 s is above 0.1 and up to 0.5'
	);
	is(
		query(
			$node,
			'SELECT m.usable_connections = s.usable, m.connections >= 4, m.monitor_ok, m.pools FROM pool_monitor.metrics_server AS m, pool_monitor.server AS s'
		),
		't|t|1|2',
		'the server'
	);
};

subtest 'as text' => sub {
	my %is = samples('');
	is($is{'pool_monitor_pool_connections{pool="web"}'},    4, 'a gauge');
	is($is{'pool_monitor_pool_connects_total{pool="web"}'}, 4, 'a counter');
	is($is{'pool_monitor_server_pools'},                    2, 'without a label');
	is(
		$is{'pool_monitor_pool_hold_seconds_bucket{pool="web",le="+Inf"}'},
		$is{'pool_monitor_pool_hold_seconds_count{pool="web"}'},
		'a histogram ends with all'
	);
	is(
		$is{'pool_monitor_pool_hold_seconds_bucket{pool="web",le="0.5"}'},
		metric('hold_seconds_bucket[5]'),
		'and has its buckets'
	);
	is(scalar(grep { /^pool_monitor_application_/ } keys %is),
		0, 'applications only where they are asked for');

	my $odd = app_holder($node, 'o"d\\\\d{}', 2);
	query($node, 'SELECT count(*) FROM pool_monitor.pool_stats');
	%is = samples('applications => true');
	my ($name) = grep { /^pool_monitor_application_connections\{application_name="o/ } keys %is;
	is($is{$name}, 2, "an odd name: $name");
	$odd->close;
};

subtest 'names that look alike, and settings of who asks' => sub {
	foreach my $user ("x\x01", 'x\x01', "\xe9", '\xe9')
	{
		(my $quoted = $user) =~ s/\\/\\\\/g;
		ok(!logs_in($node, "user='$quoted'"), 'a login that fails');
	}
	my %is = samples('applications => true');
	is(scalar(grep { /^pool_monitor_application_refused_total.*usename="(x|\\\\)/ } keys %is),
		4, 'each has a series of its own');
	like(
		query($node, 'SET extra_float_digits = -15; SELECT pool_monitor.metrics()'),
		qr/^pool_monitor_server_last_sample_timestamp_seconds 1\d{9}\.\d/m,
		'numbers are whole'
	);
};

subtest 'for whom' => sub {
	is(query($node, 'SET ROLE watcher; SELECT length(pool_monitor.metrics(true)) > 1000'),
		't', 'pg_monitor');
	my ($rc) = $node->psql('postgres', 'SET ROLE nobody; SELECT pool_monitor.metrics()');
	isnt($rc, 0, 'nobody else');
};

$web->close;

# None is forgotten here, and each is under its own name. connects in pool_stats are with
# those that were taken over, of which there are none here; disconnects is a sum.
subtest 'every counter of pool_stats' => sub {
	is(
		query(
			$node,
			"SELECT string_agg(c.attname, ' ' ORDER BY c.attnum) FROM pg_attribute AS c WHERE c.attrelid = 'pool_monitor.pool_stats'::regclass AND c.atttypid IN ('int8'::regtype, 'float8'::regtype) AND c.attname <> 'average_busy' AND NOT EXISTS (SELECT FROM pool_monitor.metrics_catalog WHERE view = 'metrics_pool' AND kind = 'counter' AND name = c.attname || '_total')"
		),
		'disconnects',
		'is there, but for a sum'
	);
	wait_for(
		$node,
		"SELECT count(*) > 15, string_agg(m.key, ' ') FILTER (WHERE m.value <> s.value) FROM pool_monitor.metrics_pool AS p JOIN pool_monitor.pool_stats AS t USING (pool), jsonb_each(to_jsonb(p)) AS m JOIN jsonb_each(to_jsonb(t)) AS s ON m.key = s.key || '_total' WHERE pool = 'web'",
		'with the same value',
		't|'
	);
};

is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
