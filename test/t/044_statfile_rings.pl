# Settings that change between a stop and a start: rings that become shorter or longer,
# less room for applications and pools; the newest is kept, and no session is lost.
# Only TAP can restart a server with other settings, and forge a past in its file.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PoolMonitorStatfile;
use Test::More;

my $node = statfile_server('statfile_rings');
my $file = file_of($node);

sub ask { my ($sql) = @_; return query($node, $sql) }

# ---- rings ----

my %ring = (
	minutes => {seconds => 60,   resolution => '1 minute', short => 10, long => 100, forged => 20},
	hours   => {seconds => 3600, resolution => '1 hour',   short => 3,  long => 50,  forged => 8}
);

sub forged_rows
{
	my ($r) = @_;
	return [
		split /\n/,
		ask(
			"SELECT concat_ws('|', extract(epoch FROM bucket_start)::bigint, seen, avg_connections, max_connections, avg_busy, max_busy, connects, disconnects, refused, retired, transactions, rejected, auth_failures, overflow_seconds, exhausted_seconds, over_seconds, starved_seconds, checkouts, checkout_waits, waited_seconds, checkout_timeouts, timed_checkouts, checked_out_seconds, reported_open_seconds) FROM pool_monitor.history WHERE pool = 'app' AND resolution = '$r->{resolution}' AND bucket_start < to_timestamp($r->{end}) ORDER BY bucket_start"
		)
	];
}

# Until the worker has begun the stretches of now; the sum of all is no measure
# where old ones are dropped.
sub wait_for_ticks
{
	my ($what) = @_;
	wait_for(
		$node,
		"SELECT count(*) > 0 FROM pool_monitor.history WHERE pool = '(server)' AND resolution = '1 minute' AND bucket_start = date_trunc('minute', now()) AND seen > 0.1",
		"$what: the worker is at work"
	);
	return;
}

sub restart_with
{
	my ($what, @settings) = @_;
	$node->stop;
	set($node, @settings);
	$node->start;
	wait_for_ticks($what);
	return;
}

my $offset;

# Of a ring that is full, the stretches that have begun since push out the oldest.
sub newest
{
	my ($what, $name, $expected, $length) = @_;
	my $r     = $ring{$name};
	my $rows  = forged_rows($r);
	my $begun = int(time / $r->{seconds}) - $r->{end} / $r->{seconds} + 1;
	cmp_ok(@$rows, '<=', $length - 1,      "$what: there is room for so many $name");
	cmp_ok(@$rows, '>=', $length - $begun, "$what: and it is used");
	is_deeply($rows, [@$expected[@$expected - @$rows .. $#$expected]], "$what: for the newest");
	return $rows;
}

subtest 'a past that is forged, so that nobody has to wait for it' => sub {
	$node->stop;
	my $saved = contents($file);
	foreach my $r (values %ring)
	{
		$r->{end} = int(time / $r->{seconds}) * $r->{seconds};
		my @starts = map { $r->{end} - $_ * $r->{seconds} } reverse 1 .. $r->{forged};
		$r->{rows} = [map { "$starts[$_ - 1]|" . bucket_row($_) } 1 .. @starts];
		$saved = with_history($saved, $r->{seconds}, @starts);
	}
	put_contents($file, $saved);
	$offset = -s $node->logfile;
	$node->start;
	wait_for_ticks('forged');
	is_deeply(forged_rows($ring{$_}), $ring{$_}{rows}, "all $_ are back") foreach sort keys %ring;
};

subtest 'rings that become shorter and longer' => sub {
	restart_with(
		'shorter',
		"history_minutes = $ring{minutes}{short}",
		"history_hours = $ring{hours}{short}"
	);
	$_->{kept} = $_->{rows} foreach values %ring;
	$ring{$_}{kept} = newest('shorter', $_, $ring{$_}{kept}, $ring{$_}{short})
	  foreach sort keys %ring;
	restart_with(
		'longer again',
		"history_minutes = $ring{minutes}{long}",
		"history_hours = $ring{hours}{long}"
	);
	newest('longer again', $_, $ring{$_}{kept}, $ring{$_}{short}) foreach sort keys %ring;
	is(log_count($node, $not_used, $offset), 0, 'no complaint about rings');
	$node->stop;
};

# ---- less room for applications and pools ----

my $other = new_server('other', "log_min_messages = warning\n");
declare($other,
	"INSERT INTO pool_monitor.pools (name, application_name, priority) VALUES ('p1', 'p1', 1), ('p2', 'p2', 2), ('p3', 'p3', 3)"
);

my %was;

# Sessions that began, by pool; applications and (other) together. Asked by one
# session, which is the only one since the start.
sub began
{
	my $rows = $other->safe_psql('postgres',
		"SELECT count(pool_monitor.reload()); SELECT CASE WHEN pool LIKE 'p_' THEN pool ELSE 'rest' END, sum(connects - taken_over) FROM pool_monitor.pool_stats GROUP BY 1"
	);
	return map { split /\|/ } grep { /\|/ } split /\n/, $rows;
}

sub restart_other
{
	my (@settings) = @_;
	$other->stop;
	set($other, @settings);
	$other->start;
	wait_until_running($other) or die "the worker does not start\n";
	return;
}

subtest 'sessions of pools and of applications' => sub {
	my @holders =
	  map { PoolMonitor::Holder->new($other, application_name => "p$_", sessions => $_) } 1 .. 3;
	push @holders,
	  map { PoolMonitor::Holder->new($other, application_name => "many $_", sessions => 1) } 1 .. 6;
	$_->close foreach @holders;
	my $alone = "connections = 0 AND connects = disconnects";
	wait_for(
		$other,
		"SELECT count(*) FILTER (WHERE pool LIKE 'p_' AND $alone), count(*) FILTER (WHERE application_name LIKE 'many %' AND $alone) FROM pool_monitor.pool_stats",
		'three pools and six applications',
		'3|6'
	);
	%was = began();
	is("@was{qw(p1 p2 p3)}", '1 2 3', 'sessions that began in each pool');
	cmp_ok($was{rest}, '>', 6, 'and elsewhere');
};

subtest 'less room for applications' => sub {
	restart_other('max_applications = 2');
	my %is = began();
	$was{rest}++;
	is_deeply(\%is, \%was, 'max_applications is less: none is lost');
	cmp_ok(
		$other->safe_psql(
			'postgres', 'SELECT count(application_name) FROM pool_monitor.pool_stats'
		),
		'<=', 2,
		'max_applications is less: two have rows of their own'
	);
	is(
		$other->safe_psql(
			'postgres',
			"SELECT connects - taken_over >= 4 FROM pool_monitor.pool_stats WHERE pool = '(other)'"
		),
		't',
		'max_applications is less: the rest is (other)'
	);
	$was{rest} += 2;
};

subtest 'less room for pools' => sub {

	# Room for one pool. The third goes to (other); the second is forgotten at
	# the first tick, to keep a place free for one that may be declared next.
	restart_other('max_applications = 100', 'max_pools = 1');
	my %is = began();
	$was{rest}++;
	is_deeply(\%is, {p1 => 1, rest => $was{rest} + 3}, 'max_pools is less: none is lost');
	restart_other('max_pools = 64');
	%is = began();
	like(delete $is{p2}, qr/^[02]$/, 'the second, which may have been forgotten meanwhile');
	is_deeply(
		\%is,
		{p1 => 1, p3 => 0, rest => $was{rest} + 4},
		'max_pools is as before: the first goes on, and so do the others together'
	);
	is(log_count($other, $not_used), 0, 'no complaint about less room');
	$other->stop;
};

foreach my $server ($node, $other)
{
	is(log_count($server, 'PANIC|TRAP'), 0, 'no PANIC of ' . $server->name);
}
done_testing();
