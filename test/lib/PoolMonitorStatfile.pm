# Servers that write the file of statistics and read it, in good order or after a crash.
# What is in the file: PoolMonitorStatformat, whose names this hands on.
package PoolMonitorStatfile;

use strict;
use warnings FATAL => 'all';
use Exporter 'import';
use PoolMonitor qw(:DEFAULT query holder);
use PoolMonitorStatformat;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = (
	@PoolMonitorStatformat::EXPORT,
	qw(file_of contents put_contents flipped until_true wait_until_running wait_for_save
	  worker_works set stats statfile_server come_and_go $not_used $not_written $disorder $foreign $worker
	  $since_start $events $balanced)
);

# Times of PostgreSQL count from 2000 on, in microseconds.
use constant EPOCH => 946_684_800;

sub file_of { my ($server) = @_; return $server->data_dir . '/pg_stat/pool_monitor.stat' }

# undef when it is not there
sub contents
{
	my ($path) = @_;
	open my $file, '<:raw', $path or return undef;
	local $/;
	my $data = <$file>;
	close $file;
	return $data // '';
}

sub put_contents
{
	my ($path, $data) = @_;
	open my $file, '>:raw', $path or die "$path: $!";
	print {$file} $data;
	close $file or die "$path: $!";
	return;
}

sub flipped
{
	my ($data, $position) = @_;
	substr($data, $position, 1) ^= "\xff";
	return $data;
}

# ---- waiting ----

sub until_true
{
	my ($condition) = @_;
	my $deadline = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	while (Time::HiRes::time() < $deadline)
	{
		return 1 if $condition->();
		Time::HiRes::usleep(10_000);
	}
	return 0;
}

# Waits until the worker has read the file at its start, and written it again.
# Nobody connects meanwhile.
sub wait_until_running
{
	my ($server) = @_;
	return until_true(
		sub {
			my $data = contents(file_of($server));
			return defined $data && length $data > HEADER_SIZE && field($data, 'complete') == 0;
		}
	);
}

# Waits until the file has what is there now.
sub wait_for_save
{
	my ($server, $what) = @_;
	my $now = (Time::HiRes::time() - EPOCH) * 1_000_000;
	ok(
		until_true(
			sub {
				my $data = contents(file_of($server));
				return
				  defined $data && length $data > HEADER_SIZE && field($data, 'saved_at') > $now;
			}
		),
		$what
	);
	return;
}

# Waits until the worker has been at work for so many seconds more.
sub worker_works
{
	my ($server, $seconds) = @_;
	my $seen =
	  "SELECT coalesce(sum(seen), 0) FROM pool_monitor.history WHERE pool = '(server)' AND resolution = '1 minute'";
	my $before = $server->safe_psql('postgres', $seen);
	$server->poll_query_until('postgres', "SELECT ($seen) >= $before + $seconds")
	  or die "the worker does not work\n";
	return;
}

# ---- asking ----

our $not_used = qr/WARNING:  pool_monitor does not use its file of statistics/;
our $not_written =
  qr/pool_monitor could not write its statistics to "pg_stat\/pool_monitor.stat": /;
our $disorder = 'the server did not shut down in good order';
our $foreign  = q{it belongs to another server or to a copy's original};

our $worker      = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";
our $since_start = "seq >= (SELECT max(seq) FROM pool_monitor.events WHERE event = 'started')";
our $events =
  "SELECT string_agg(event || coalesce(': ' || (detail ->> 'reason'), ''), ', ' ORDER BY seq) FROM pool_monitor.events WHERE event IN ('started', 'statistics_lost') AND $since_start";
our $balanced =
  'SELECT bool_and(connects - disconnects = connections) FROM pool_monitor.pool_stats';

# Rows of pool_stats, by name, without some columns. average_busy goes on falling;
# last_used is only of this start of the server.
sub stats
{
	my ($names, @without) = @_;
	my $list    = join ', ', map { "'$_'" } @$names;
	my $without = join ', ', map { "'$_'" } 'average_busy', 'last_used', @without;
	return
	  "SELECT coalesce(jsonb_agg(to_jsonb(s) - ARRAY[$without] ORDER BY coalesce(pool, application_name))::text, 'none') FROM pool_monitor.pool_stats s WHERE coalesce(pool, application_name) IN ($list)";
}

# ---- the server ----

# It has room for few sessions, a role "app", and two pools with a history.
sub statfile_server
{
	my ($name) = @_;
	my $node = new_server(
		$name, "restart_after_crash = on
max_connections = 16
log_min_messages = warning
timezone = 'UTC'
", init => {allows_streaming => 1}
	);
	query($node, 'CREATE ROLE app LOGIN');
	declare($node,
		"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('app', 'app', '1 s', '0'), ('alive', 'alive', NULL, '0')"
	);
	wait_for(
		$node,
		"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool IN ('app', 'alive') AND seen > 0",
		'the history has both pools',
		'2'
	);
	return $node;
}

# Six sessions of app and one of batch have come and gone, and are in the history.
sub come_and_go
{
	my ($node) = @_;
	my $app = holder($node, 'app', user => 'app', sessions => 6);
	$app->do('all SELECT pg_sleep(0.01)');
	$app->close;
	holder($node, 'batch')->close;
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('app', 'batch') AND connects = disconnects",
		'all of them have come and gone',
		'2'
	);
	worker_works($node, 0.2);
	return;
}

sub set
{
	my ($server, @settings) = @_;
	$server->append_conf('postgresql.conf', join('', map { "pool_monitor.$_\n" } @settings));
	return;
}

1;
