# How long a pool was above its base, at its ceiling and over its budget: each counted for
# itself, to the tick, as history has it, and going on over a restart. Needs sessions that
# hold, and a server that is restarted.
use strict;
use warnings FATAL => 'all';
use PoolMonitor        qw(:DEFAULT query insert_pool app_holder);
use PoolMonitorHistory qw(between watch);
use Test::More;

my @conditions = qw(overflow exhausted over);
my $columns    = join ', ', map { "${_}_seconds" } @conditions;

my $node = new_server('time_at_limits');
query($node, 'CREATE ROLE app LOGIN');
declare(
	$node, join '',
	insert_pool('web',  pool_size => 2, max_overflow => 1),
	insert_pool('free', pool_size => 1, max_overflow => -1),
	insert_pool('calm', pool_size => 2, max_overflow => 1)
);
watch($node, $_, 0.1, "$_ has a history") foreach qw(web free calm);

sub counted
{
	my ($pool) = @_;
	return query($node, "SELECT $columns FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

# The server's clock, and when the worker last looked, by the same.
sub clock { return query($node, 'SELECT extract(epoch FROM clock_timestamp())') }

sub looked
{
	return query($node, 'SELECT extract(epoch FROM last_sample) FROM pool_monitor.health');
}

# A condition holds from the first tick that sees it, which is credited back to the one
# before, to the last. So, however slow the machine is, for this long at least, and at most.
my (%least, %most);

sub begins
{
	my ($condition, $code) = @_;
	my $looked = looked();
	$code->();
	$most{$condition}  = -$looked;
	$least{$condition} = -clock();
	return;
}

sub ends
{
	my ($condition, $code) = @_;
	my $looked = looked();
	$code->();
	$least{$condition} += $looked;
	$most{$condition}  += clock();
	return;
}

sub connections
{
	my ($n) = @_;
	return wait_for(
		$node,
		"SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
		"$n connections", $n
	);
}

sub status
{
	my ($pool) = @_;
	return query($node, "SELECT status FROM pool_monitor.budgets WHERE pool = '$pool'");
}

# Two at first: the pool's base.
my $calm = app_holder($node, 'calm', 2);
my $web  = app_holder($node, 'web',  2);

subtest 'each for itself' => sub {
	$web->do('busy 2');
	watch($node, 'web', 0.3, 'all of its base is busy');
	is(counted('web'), '0|0|0', 'that is no limit');
	$web->do('free');

	begins('overflow', sub { $web->do('open 1'); connections(3) });
	watch($node, 'web', 0.3, 'above its base');
	is(status('web'), 'overflow', 'says the status');
	like(counted('web'), qr/^[0-9.]+\|0\|0$/, 'and nothing else is counted');

	begins('exhausted', sub { $web->do('busy 3') });
	watch($node, 'web', 0.3, 'exhausted');
	is(status('web'), 'exhausted', 'says the status');
	like(counted('web'), qr/\|0$/, 'and it is not over');

	begins('over', sub { $web->do('open 1'); connections(4) });
	wait_for(
		$node,
		"SELECT least(exhausted_seconds, over_seconds) > 1 FROM pool_monitor.pool_stats WHERE pool = 'web'",
		'over its budget, too'
	);
	is(status('web'), 'over', 'the status is the worst alone');

	ends('exhausted', sub { $web->do('free') });
	watch($node, 'web', 0.3, 'over, and idle');
	ends('over', sub { $web->do('close 1'); connections(3) });
	watch($node, 'web', 0.3, 'above its base, as at first');
	ends('overflow', sub { $web->do('close 1'); connections(2) });
	watch($node, 'web', 0.3, 'none of it');
};

subtest 'how long' => sub {
	my @is = split /\|/, counted('web');
	foreach my $i (0 .. $#conditions)
	{
		my $condition = $conditions[$i];
		between($is[$i], $least{$condition} - 0.01, $most{$condition} + 0.01, $condition);
	}
	cmp_ok($is[0], '>', $is[1], 'it was above its base for longer than at its ceiling');
	my $sums = join ', ', map { "round(sum($_)::numeric, 3)::float8" } split /, /, $columns;
	is(
		query(
			$node,
			"SELECT $sums FROM pool_monitor.history WHERE pool = 'web' AND resolution = '1 minute'"
		),
		join('|', @is),
		'history says the same'
	);
	my $totals = $columns =~ s/seconds/seconds_total/gr;
	is(
		query($node, "SELECT $totals FROM pool_monitor.metrics_pool WHERE pool = 'web'"),
		join('|', @is),
		'and the metrics'
	);
	is(
		query(
			$node,
			"SELECT kind FROM pool_monitor.metrics_catalog WHERE metric = 'pool_monitor_pool_exhausted_seconds_total'"
		),
		'counter',
		'as counters'
	);
	is(counted('calm'), '0|0|0', 'another pool has none of it');
};

subtest 'a pool without bounds' => sub {
	my $free = app_holder($node, 'free', 3);
	$free->do('busy 3');
	wait_for(
		$node,
		"SELECT overflow_seconds > 0.3 FROM pool_monitor.pool_stats WHERE pool = 'free'",
		'is above its base'
	);
	is(status('free'), 'ok', 'which is no status of it');
	like(counted('free'), qr/^[0-9.]+\|0\|0$/, 'and at no limit ever');
	$free->do('free');
	$free->close;
	wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'free'", 'gone', 0);
	watch($node, 'free', 0.3, 'and not counted any more');
	is(
		query(
			$node,
			'SELECT overflow_seconds_total + exhausted_seconds_total + over_seconds_total FROM pool_monitor.metrics_pool WHERE pool = $$(undeclared)$$'
		),
		'0',
		'what is in no pool has no limits'
	);
};

subtest 'after a restart' => sub {
	$_->close foreach $web, $calm;
	my ($web_was, $free_was) = map { counted($_) } qw(web free);
	$node->restart;
	watch($node, 'web', 0.3, 'it is watched again');
	is(counted('web'), $web_was, 'they are what they were');
	query($node, "SELECT pool_monitor.reset('web')");
	is(counted('web'),  '0|0|0',   'reset() begins them anew');
	is(counted('free'), $free_was, 'of that pool');

	$web = app_holder($node, 'web', 3);
	$web->do('busy 3');
	wait_for(
		$node,
		"SELECT exhausted_seconds BETWEEN 0.2 AND overflow_seconds FROM pool_monitor.pool_stats WHERE pool = 'web'",
		'from then on they count again'
	);
	$web->do('free');
	$web->close;
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
