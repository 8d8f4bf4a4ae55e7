# The statistics survive: a restart, a crash, a full disk; and a file that is
# damaged, or not this server's, is noticed. Needs restarts, kill -9, and files
# that are written by hand.
use strict;
use warnings FATAL => 'all';
use Fcntl;
use POSIX ();
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# ---- the file; see src/statfile/statformat.h ----

# magic, format and major, system_identifier, inode, saved_at, last_event,
# body_length: eight bytes each; body_crc, complete, unused, crc: four bytes each
use constant HEADER_SIZE => 7 * 8 + 4 * 4;

# where in the header
my %at = (
	magic             => [0,  'Q'],
	format            => [8,  'L'],
	major             => [12, 'L'],
	system_identifier => [16, 'Q'],
	inode             => [24, 'Q'],
	saved_at          => [32, 'q'],
	last_event        => [40, 'Q'],
	body_length       => [48, 'Q'],
	body_crc          => [56, 'L'],
	complete          => [60, 'L'],
	unused            => [64, 'L'],
	crc               => [68, 'L']
);

# kinds of records, and what they begin with
use constant {RECORD_RING => 1, RECORD_SERIES => 2};
use constant SERIES_RECORD => 'a64 L L';                        # name, ring, count
use constant BUCKET        => 'd d L l l L L L L L L L L x4';

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

sub field
{
	my ($data,   $name) = @_;
	my ($offset, $type) = @{$at{$name}};
	return unpack $type, substr($data, $offset, 8);
}

# A copy in which a field of the header is another.
sub with_field
{
	my ($data, $name, $value) = @_;
	my ($offset, $type) = @{$at{$name}};
	my $bytes = pack $type, $value;
	substr($data, $offset, length $bytes) = $bytes;
	return $data;
}

sub flipped
{
	my ($data, $position) = @_;
	substr($data, $position, 1) ^= "\xff";
	return $data;
}

my @crc_table = map {
	my $crc = $_;
	$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c
{
	my ($data) = @_;
	my $crc = 0xFFFFFFFF;
	$crc = ($crc >> 8) ^ $crc_table[($crc ^ $_) & 0xFF] foreach unpack 'C*', $data;
	return $crc ^ 0xFFFFFFFF;
}

sub body_of { my ($data) = @_; return substr($data, HEADER_SIZE) }

# With lengths and CRCs that are right.
sub sealed
{
	my ($data) = @_;
	$data = with_field($data, 'body_length', length body_of($data));
	$data = with_field($data, 'body_crc',    crc32c(body_of($data)));
	return with_field($data, 'crc', crc32c(substr($data, 0, $at{crc}[0])));
}

# A stretch of history in which every number is another, by this one.
sub bucket
{
	my ($n) = @_;
	return pack BUCKET, 60e6 * $n, 30e6 * $n, 60_000, (map { $n + $_ } 10, 20, 30, 40, 50, 60, 70),
	  3000,
	  2000, 1000;
}

# and how the view has it, after bucket_start
sub bucket_row
{
	my ($n) = @_;
	return join '|', 60, $n, $n + 10, $n / 2, map({ $n + $_ } 20, 30, 40, 50, 60, 70), 3, 2, 1;
}

# A copy in which a ring has these starts, and each pool these stretches.
sub with_history
{
	my ($data, $ring, @starts) = @_;
	my $body    = body_of($data);
	my $new     = '';
	my $buckets = join '', map { bucket($_) } 1 .. @starts;
	while ($body ne '')
	{
		my ($kind, $length) = unpack 'L L', $body;
		my $record = substr($body, 8, $length);
		$body = substr($body, 8 + $length);
		if ($kind == RECORD_RING && unpack('L', $record) == $ring)
		{
			$record = pack 'L L q*', $ring, scalar @starts,
			  map { ($_ - EPOCH) * 1_000_000 } @starts;
		}
		elsif ($kind == RECORD_SERIES && (unpack SERIES_RECORD, $record)[1] == $ring)
		{
			my ($name) = unpack SERIES_RECORD, $record;
			$record = pack(SERIES_RECORD, $name, $ring, scalar @starts) . $buckets;
		}
		$new .= pack('L L', $kind, length $record) . $record;
	}
	return sealed(substr($data, 0, HEADER_SIZE) . $new);
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

my $not_used    = qr/WARNING:  pool_monitor does not use its file of statistics/;
my $not_written = qr/pool_monitor could not write its statistics to "pg_stat\/pool_monitor.stat": /;
my $disorder    = 'the server did not shut down in good order';
my $foreign     = q{it belongs to another server or to a copy's original};

my $worker      = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'";
my $since_start = "seq >= (SELECT max(seq) FROM pool_monitor.events WHERE event = 'started')";
my $events =
  "SELECT string_agg(event || coalesce(': ' || (detail ->> 'reason'), ''), ', ' ORDER BY seq) FROM pool_monitor.events WHERE event IN ('started', 'statistics_lost') AND $since_start";
my $balanced = 'SELECT bool_and(connects - disconnects = connections) FROM pool_monitor.pool_stats';

# Rows of pool_stats, by name, without some columns. average_busy goes on falling.
sub stats
{
	my ($names, @without) = @_;
	my $list    = join ', ', map { "'$_'" } @$names;
	my $without = join ', ', map { "'$_'" } 'average_busy', @without;
	return
	  "SELECT coalesce(jsonb_agg(to_jsonb(s) - ARRAY[$without] ORDER BY coalesce(pool, application_name))::text, 'none') FROM pool_monitor.pool_stats s WHERE coalesce(pool, application_name) IN ($list)";
}

# ---- the server ----

my $node = new_server(
	'statfile', "restart_after_crash = on
max_connections = 16
log_min_messages = warning
timezone = 'UTC'
", init => {allows_streaming => 1}
);
my $file = file_of($node);

sub ask { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

sub set
{
	my ($server, @settings) = @_;
	$server->append_conf('postgresql.conf', join('', map { "pool_monitor.$_\n" } @settings));
	return;
}

# As an ordinary role of application "app".
sub log_in
{
	my (%param) = @_;
	my $dbname = $param{dbname} // 'postgres';
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		'SELECT 1',
		connstr => sprintf(
			"host=%s port=%s dbname=%s user=app application_name=app",
			$node->host, $node->port, $dbname
		)
	);
	return $err;
}

ask('CREATE ROLE app LOGIN');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('app', 'app', '1 s', '0'), ('alive', 'alive', NULL, '0')"
);
wait_for(
	$node,
	"SELECT count(DISTINCT pool) FROM pool_monitor.history WHERE pool IN ('app', 'alive') AND seen > 0",
	'the history has both pools',
	'2'
);

# ---- a clean restart ----

# every kind of end
my $app = PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 4);
$app->do("sql $_ SELECT pg_sleep(0.05)") foreach 0 .. 3;
$app->do("sql 0 SELECT $_")              foreach 1 .. 10;
$app->do('sql 1 CREATE TEMP TABLE t (i int)');
$app->do("sql 2 SET idle_session_timeout = '1 ms'");
ask('SELECT pg_terminate_backend(' . $app->do('pid 3') . ')');
wait_for(
	$node,
	"SELECT retired > 0 AND declined > 0 FROM pool_monitor.pool_stats, (SELECT count(*) FROM pool_monitor.recycle('app', dry_run => false)) r WHERE pool = 'app'",
	'one session is retired, and one declines'
);
$app->close;
my $gone = PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 2);
kill 'KILL', $gone->{pid};
$gone->close;
like(log_in(dbname => 'nosuch'), qr/does not exist/, 'a login is rejected');

# A session that has just ended may still have its slot: then once more.
my $usable = ask('SELECT usable FROM pool_monitor.server');
my $full;
ok(
	until_true(
		sub {
			$full = eval {
				PoolMonitor::Holder->new(
					$node,
					application_name => 'app',
					user             => 'app',
					sessions         => $usable
				);
			};
			return defined $full;
		}
	),
	'all slots are taken'
);
like(log_in(), qr/too many clients|remaining connection slots/, 'a login is refused');
$full->close;

my $batch = PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 2);
$batch->do('sql 0 SELECT pg_sleep(0.02)');
$batch->close;
my $alive     = PoolMonitor::Holder->new($node, application_name => 'alive',     sessions => 3);
my $alive_too = PoolMonitor::Holder->new($node, application_name => 'alive too', sessions => 2);
$alive->do('all SELECT pg_sleep(0.01)');

my @ended  = ('app',   'batch');
my @living = ('alive', 'alive too');
my $ended  = stats(\@ended);
my @changes =
  qw(connections disconnects ended_killed ended_lost lifetime_p50 lifetime_p95 lifetime_max);
my $living = stats(\@living, @changes);
wait_for(
	$node,
	"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE pool = 'app' OR application_name = 'batch'",
	'nobody of app and batch is left',
	'0'
);
wait_for(
	$node,
	"SELECT ended_client > 0 AND ended_abandoned = 2 AND ended_fatal > 0 AND ended_killed > 0 AND retired > 0 AND declined > 0 AND rejected > 0 AND refused > 0 AND transactions > 0 AND average_busy > 0 AND lifetime_p50 > '0' AND hold_max >= '0.05 s' FROM pool_monitor.pool_stats WHERE pool = 'app'",
	'there is something of everything'
);
worker_works($node, 0.5);

my $peaks =
  "SELECT string_agg(format('%s %s %s', pool, peak_connections, peak_at), ', ' ORDER BY pool) FROM pool_monitor.budgets";
my $server = 'SELECT refused, peak_connections, peak_at FROM pool_monitor.server';
my $history =
  "SELECT pool, resolution, sum(connects), sum(refused), sum(retired), max(max_connections), max(max_busy), round(sum(avg_busy * seen)) FROM pool_monitor.history WHERE pool IN ('app', 'alive') GROUP BY 1, 2 ORDER BY 1, 2";
my $disconnects =
  "SELECT sum(connects) - sum(disconnects) FROM pool_monitor.history WHERE pool = 'alive' AND resolution = '1 minute'";
my $seen =
  "SELECT sum(seen) FROM pool_monitor.history WHERE pool = '(server)' AND resolution = '1 hour'";
my $busy   = "SELECT average_busy FROM pool_monitor.pool_stats WHERE pool = 'app'";
my %before = map { $_ => ask($_) } $ended, $living, $peaks, $server, $history, $seen, $busy;
my $began  = ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'");
like($before{$server}, qr/^[1-9]\d*\|1\d\|20/, 'the server has refused, and has a peak');
like(
	$before{$ended},
	qr/"pool": "app".*"application_name": "batch"|"application_name": "batch".*"pool": "app"/,
	'both rows are there'
);
is(ask($disconnects), '3', 'the history has those that are alive');
is(
	ask(
		"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) LIKE 'alive%'"
	),
	'5',
	'five sessions will be alive at the shutdown'
);

my $offset = -s $node->logfile;
$node->stop('fast');
$alive->close;
$alive_too->close;
my $saved = contents($file);
is(field($saved, 'complete'), 1, 'the file says that the server has shut down');
ok(!-e "$file.tmp", 'no temporary file is left');
is(HEADER_SIZE + field($saved, 'body_length'), length $saved, 'the header is as long as we think');
is(
	sprintf('%#x', crc32c(body_of($saved))),
	sprintf('%#x', field($saved, 'body_crc')),
	'and has the CRC of the body'
);
ok($saved eq sealed($saved), 'and its own');
$node->start;
ok(wait_until_running($node), 'the file says that the server is running again');
ok(!-e "$file.tmp",           'no temporary file is left by the worker either');

# What must be the same after each restart that loses nothing.
sub nothing_lost
{
	my ($what) = @_;
	wait_for(
		$node,
		'SELECT count(*) FROM pool_monitor.budgets',
		"$what: the pools are in force", '2'
	);
	is(ask($_->[0]), $before{$_->[0]}, "$what: $_->[1] as before")
	  foreach [$ended, 'counters, percentiles, stats_reset'],
	  [$living, 'those of pools that had sessions'], [$peaks,   'peaks and their times'],
	  [$server, 'refused and peak of the server'],   [$history, 'history'];
	wait_for($node, $balanced, "$what: connects less disconnects are connections");
	is(log_count($node, $not_used, $offset), 0,         "$what: no complaint");
	is(ask($events),                         'started', "$what: nothing is lost");
	return;
}
nothing_lost('restart');
is(
	ask(
		"SELECT string_agg(concat_ws(' ', coalesce(pool, application_name), connections, connects, disconnects, ended_killed, ended_lost, lifetime_max > '0'), ', ' ORDER BY 1) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) LIKE 'alive%' GROUP BY pool IS NULL ORDER BY pool IS NULL"
	),
	"alive 0 3 3 3 0 t\nalive too 0 2 2 2 0 t",
	'restart: sessions that were alive were killed'
);
is(ask($disconnects), '0', 'restart: and the history says so');
is(
	ask("SELECT min(seq) FROM pool_monitor.events WHERE $since_start"),
	field($saved, 'last_event') + 1,
	'restart: the numbers of the events go on'
);
cmp_ok(field($saved, 'last_event'), '>', 1, 'restart: there were events before');
is(
	ask("SELECT count(*) FROM pool_monitor.events WHERE NOT $since_start"),
	field($saved, 'last_event'),
	'restart: and they are still there'
);
cmp_ok(ask($seen), '>=', $before{$seen}, 'restart: the hour goes on');
my $average = ask($busy);
cmp_ok($average, '>', 0,              'restart: the average is of all the time');
cmp_ok($average, '<', $before{$busy}, 'restart: in which nobody was busy meanwhile');

$alive = PoolMonitor::Holder->new($node, application_name => 'alive', sessions => 2);
is(
	ask(
		"SELECT connections, connects, disconnects FROM pool_monitor.pool_stats WHERE pool = 'alive'"
	),
	'2|5|3',
	'restart: connections are exact again'
);
is(ask("SELECT connections FROM pool_monitor.budgets WHERE pool = 'alive'"),
	'2', 'restart: and those that are there are the same');
$alive->close;
wait_for(
	$node,
	"SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'alive'",
	'they are gone', '0'
);
worker_works($node, 0.2);
%before = map { $_ => ask($_) } $ended, $living, $peaks, $server, $history;

# another one, with nobody there
$offset = -s $node->logfile;
$node->stop('fast');
ok(!-e "$file.tmp", 'second restart: no temporary file is left');
$node->start;
nothing_lost('second restart');

# ---- a worker that is only terminated ----

$alive = PoolMonitor::Holder->new($node, application_name => 'alive', sessions => 1);
worker_works($node, 0.2);
%before = map { $_ => ask($_) } $ended, $living, $peaks, $server, $history;
my $pid = ask($worker);
ask("SELECT pg_terminate_backend($pid)");
wait_for($node, "SELECT count(*) = 1 FROM ($worker) w WHERE pid <> $pid", 'the worker comes back');
worker_works($node, 0.2);
nothing_lost('another worker');
is(ask("SELECT connections FROM pool_monitor.pool_stats WHERE pool = 'alive'"),
	'1', 'another worker: the session is still counted');

# ---- reset() ----

ask('SELECT pool_monitor.reset()');
my $reset = ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'");
cmp_ok($reset, 'gt', $began, 'reset() begins anew');
$app = PoolMonitor::Holder->new($node, application_name => 'app', user => 'app', sessions => 6);
$app->do('all SELECT pg_sleep(0.01)');
$app->close;
$batch = PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 1);
$batch->close;
wait_for(
	$node,
	"SELECT count(*) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('app', 'batch') AND connects = disconnects",
	'there is something since the reset',
	'2'
);
worker_works($node, 0.2);
is(
	ask(
		"SELECT connects, ended_client, refused, ended_abandoned FROM pool_monitor.pool_stats WHERE pool = 'app'"
	),
	'6|6|0|0',
	'since the reset'
);
%before = map { $_ => ask($_) } $ended, $living, $peaks, $server, $history;
$offset = -s $node->logfile;
$node->restart;
$alive->close;
nothing_lost('restart after reset()');
is(ask("SELECT stats_reset FROM pool_monitor.pool_stats WHERE pool = 'app'"),
	$reset, 'restart after reset(): stats_reset is its moment');
is(
	ask(
		"SELECT connections, connects, taken_over, ended_killed FROM pool_monitor.pool_stats WHERE pool = 'alive'"
	),
	'0|1|1|1',
	'restart after reset(): the session that was there was taken over, then killed'
);

# ---- crashes ----

set($node, "save_interval = '1s'");
$node->reload;
my @lost = qw(connections disconnects ended_lost);
my $rows = stats([@ended, @living], @lost);
my %how  = (
	'a client is killed'   => sub { kill 'KILL', $_[0] },
	'the worker is killed' => sub { kill 'KILL', $_[1] },
	'immediate shutdown'   => sub {
		$node->stop('immediate');
		is(field(contents($file), 'complete'),
			0, 'immediate shutdown: the file does not say that it was in good order');
		$node->start;
	}
);
foreach my $how (sort keys %how)
{
	# Who asks is an application of its own; nobody else comes.
	my $asker = PoolMonitor::Holder->new($node, application_name => 'asker');
	$alive     = PoolMonitor::Holder->new($node, application_name => 'alive',     sessions => 3);
	$alive_too = PoolMonitor::Holder->new($node, application_name => 'alive too', sessions => 2);
	ok(
		until_true(
			sub {
				$asker->do(
					"sql 0 SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
				) eq '6';
			}
		),
		"$how: six sessions are there"
	);
	my $count =
	  "SELECT string_agg(format('%s %s', coalesce(pool, application_name), ended_lost + CASE WHEN \$1 THEN connections ELSE 0 END), ', ' ORDER BY 1) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('alive', 'alive too', 'asker', 'app', 'batch')";
	my $old    = $asker->do("sql 0 $rows");
	my $sum    = $asker->do('sql 0 ' . $count =~ s/\$1/true/r);
	my $victim = $alive->do('pid 1');
	my $pid    = $asker->do("sql 0 $worker");
	wait_for_save($node, "$how: it is saved");
	my $data = contents($file);
	$offset = -s $node->logfile;
	$how{$how}->($victim, $pid);
	wait_for_log(
		$node,
		qr/database system was (?:not properly shut down|interrupted).*ready to accept connections/s,
		"$how: the server is back",
		$offset
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool_monitor'",
		"$how: the worker is there", '1'
	);
	wait_for(
		$node,
		'SELECT count(*) FROM pool_monitor.budgets',
		"$how: the pools are in force", '2'
	);
	is(ask($events), "started, statistics_lost: $disorder", "$how: an event says so");
	is(
		ask(
			"SELECT detail ->> 'sessions_lost' FROM pool_monitor.events WHERE event = 'statistics_lost' AND $since_start"
		),
		'6',
		"$how: and how many sessions are lost"
	);
	is(
		ask(
			"SELECT (detail ->> 'saved')::timestamptz >= '2000-01-01 00:00:00+00'::timestamptz + interval '"
			  . field($data, 'saved_at')
			  . " us' FROM pool_monitor.events WHERE event = 'statistics_lost' AND $since_start"
		),
		't',
		"$how: and when it was saved"
	);
	is(ask($rows),                   $old, "$how: what was saved is back");
	is(ask($count =~ s/\$1/false/r), $sum, "$how: who was there is lost");
	is(
		ask(
			"SELECT sum(connections) FROM pool_monitor.pool_stats WHERE coalesce(pool, application_name) IN ('alive', 'alive too', 'asker')"
		),
		'0',
		"$how: and is there no longer"
	);
	wait_for($node, $balanced, "$how: connects less disconnects are connections");
	is(
		ask(
				'SELECT min(seq) > '
			  . field($data, 'last_event')
			  . " FROM pool_monitor.events WHERE $since_start"
		),
		't',
		"$how: the numbers of the events go on"
	);
	is(log_count($node, $not_used, $offset), 0, "$how: no complaint about the file");
	wait_for_save($node, "$how: saving goes on");
	wait_for_save($node, "$how: and on");
	$_->close foreach $alive, $alive_too, $asker;
}

# What a session has done is saved as often, however seldom the worker samples.
set($node, "sample_interval = '1min'");
$node->reload;
wait_for_save($node, 'sampling seldom: it is saved') foreach 1 .. 2;
$batch = PoolMonitor::Holder->new($node, application_name => 'seldom', sessions => 1);
$batch->do("sql 0 SELECT $_") foreach 1 .. 10;
my $pid_of_worker = $batch->do("sql 0 $worker");
wait_for_save($node, 'sampling seldom: it is saved once more');
set($node, "sample_interval = '50ms'");
kill 'KILL', $pid_of_worker;
wait_for(
	$node, $events,
	'sampling seldom: the server is back',
	"started, statistics_lost: $disorder"
);
is(
	ask(
		"SELECT connects, disconnects, ended_lost, transactions >= 10 FROM pool_monitor.pool_stats WHERE application_name = 'seldom'"
	),
	'1|1|1|t',
	'sampling seldom: what was saved is all that had been done'
);
$batch->close;

# before the first periodic save after a clean start
set($node, "save_interval = '1d'");
$node->restart;
ok(wait_until_running($node), 'before the first save: the file is no longer complete');
wait_for($node, $events, 'before the first save: nothing is lost yet', 'started');
is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
	'1', 'before the first save: batch is back');

# ---- a damaged file ----

$saved = contents($file);
$pid   = ask($worker);

# Puts this in place of the file, and has it read by a crash restart. From now
# on the worker saves only at its start, so nobody else writes it.
sub crash_with
{
	my ($data) = @_;
	unlink "$file.bad";
	put_contents($file, $data);
	$offset = -s $node->logfile;
	kill 'KILL', $pid;
	until_true(
		sub {
			my $now = contents($file);
			return defined $now && $now ne $data;
		}
	) or die "the server does not come back\n";
	return;
}

# One row of what is to be seen after that, and the worker for the next time.
sub after_crash
{
	my ($rc, $out, $err) = $node->psql('postgres',
		"SELECT ($worker), ($events), count(*) FILTER (WHERE application_name = 'batch'), ($balanced), sum(connects) >= 1, bool_and(stats_reset > pg_conf_load_time()) FROM pool_monitor.pool_stats"
	);
	($pid, $out) = $out =~ /^(\d+)\|(.*)/ or die "the server does not work: $err\n";
	return $out;
}

# That file is not used, and for this reason.
sub refuses
{
	my ($data, $reason, $what) = @_;
	crash_with($data);
	my $text  = PoolMonitor::log_text($node, $offset);
	my @why   = $text =~ /$not_used "pg_stat\/pool_monitor.stat": (.*)/g;
	my $aside = contents("$file.bad");
	is(
		join('; ',
			@why,
			$text =~ /PANIC|TRAP/             ? 'PANIC'          : '',
			defined $aside && $aside eq $data ? 'set aside'      : '',
			-e "$file.tmp"                    ? 'temporary file' : '',
			after_crash()),
		"$reason; ; set aside; ; started, statistics_lost: $reason|0|t|t|t",
		$what
	);
	return;
}

# That file is used.
sub accepts
{
	my ($data, $what) = @_;
	crash_with($data);
	is(log_count($node, $not_used, $offset), 0, "$what: no complaint");
	ok(!-e "$file.bad", "$what: not set aside");
	is(after_crash(), "started, statistics_lost: $disorder|1|t|t|f", "$what: what it has is there");
	ok(!-e "$file.tmp", "$what: no temporary file is left");
	return;
}

accepts($saved, 'as it was');
put_contents("$file.tmp", 'left by a crash' x 1000);
accepts($saved, 'beside an old temporary file');
foreach my $position (0 .. HEADER_SIZE - 1)
{
	refuses(
		flipped($saved, $position),
		$position < 8
		? q{it is not a file of pool_monitor's statistics}
		: 'its header is damaged',
		"byte $position of the header is flipped"
	);
}
my $length = length body_of($saved);
my %sample = map { int($_ * ($length - 1) / 44) => 1 } 0 .. 44;
cmp_ok(keys %sample, '>=', 40, 'enough positions');
refuses(
	flipped($saved, HEADER_SIZE + $_),
	'it is damaged',
	"byte $_ of $length of the body is flipped"
) foreach sort { $a <=> $b } keys %sample;
refuses(substr($saved, 0, $_), 'it is not complete', "$_ bytes of it are left")
  foreach 0, 1, HEADER_SIZE / 2, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 1, length($saved) - 1;
refuses($saved . "\0",      'it is not complete', 'one byte more');
refuses($saved . 'x' x 500, 'it is not complete', 'garbage at the end');
refuses($saved . $saved,    'it is not complete', 'twice the same');

# ---- not this server's, with every CRC right ----

refuses(
	sealed(with_field($saved, 'format', field($saved, 'format') + 1)),
	'it was written by another version of pool_monitor',
	'another format'
);
foreach my $step (-1, 1)
{
	refuses(
		sealed(with_field($saved, 'major', field($saved, 'major') + $step)),
		'it was written under another major version of PostgreSQL',
		"another major ($step)"
	);
}
refuses(sealed(with_field($saved, $_, field($saved, $_) ^ 1)), $foreign, "another $_")
  foreach 'system_identifier', 'inode';

# what cannot be made sense of is not used in part
foreach my $tail (
	['a record of no kind',       pack 'L L', 99, 0],
	['a record without its data', pack 'L L', 0,  8],
	['half a record',             pack 'L',   0]
  )
{
	my ($what, $bytes) = @$tail;
	refuses(sealed($saved . $bytes), 'it makes no sense', "$what at the end");
}
accepts($saved, 'after all of that');

# ---- another server's ----

my $other = new_server('other', "log_min_messages = warning\n");
declare($other,
	"INSERT INTO pool_monitor.pools (name, application_name, priority) VALUES ('p1', 'p1', 1), ('p2', 'p2', 2), ('p3', 'p3', 3)"
);
$other->stop;
isnt(
	field(contents(file_of($other)), 'system_identifier'),
	field($saved,                    'system_identifier'),
	'another server'
);
refuses(contents(file_of($other)), $foreign, q{another server's file});
accepts($saved, q{after another server's});

$node->backup('backup');
my $original = contents($node->backup_dir . '/backup/pg_stat/pool_monitor.stat');
is(
	field($original, 'system_identifier'),
	field($saved,    'system_identifier'),
	'a backup has the file'
);
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
ok(
	until_true(
		sub { my $now = contents(file_of($standby)); return defined $now && $now ne $original }
	),
	'the standby has a file of its own'
);
my @why = PoolMonitor::log_text($standby) =~ /$not_used .*: (.*)/g;
is("@why", $foreign, 'the standby says that it does not use the one of its original');
ok((contents(file_of($standby) . '.bad') // '') eq $original, 'and sets it aside');
wait_for($standby, $events, 'and an event says so', "started, statistics_lost: $foreign");
is(
	$standby->safe_psql(
		'postgres', "SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"
	),
	'0',
	'and it begins anew'
);
$batch = PoolMonitor::Holder->new($standby, application_name => 'batch', sessions => 2);
$batch->close;
$offset = -s $standby->logfile;
$standby->restart;
wait_for(
	$standby,
	"SELECT connects, disconnects FROM pool_monitor.pool_stats WHERE application_name = 'batch'",
	'its own file it uses', '2|2'
);
is(log_count($standby, $not_used, $offset),  0,         'without a complaint');
is($standby->safe_psql('postgres', $events), 'started', 'and nothing is lost');
$standby->stop;
is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
	'1', 'the original has kept its own');

# ---- a disk that is full ----

set($node, "save_interval = '1s'");
$offset = -s $node->logfile;
$node->reload;
wait_for_save($node, 'it saves every second');
ok(until_true(sub { symlink '/dev/full', "$file.tmp" }), 'the disk is full');
ok(until_true(sub { !-l "$file.tmp" }), 'full disk: what could not be written is removed');
wait_for_log(
	$node,
	qr/LOG:  ${not_written}No space left on device/,
	'full disk: the log says why', $offset
);
wait_for_save($node, 'full disk: when there is room, saving goes on');

# Makes the temporary file so that it cannot be removed or renamed. If a save was
# faster than we are, once more, after one that was good.
my $directory = $node->data_dir . '/pg_stat';

sub make_stuck
{
	my ($make) = @_;
	return until_true(
		sub {
			$offset = -s $node->logfile;
			$make->() or return 0;
			chmod 0500, $directory or die "$directory: $!";
			return 1 if lstat "$file.tmp";
			chmod 0700, $directory;
			wait_for_save($node, 'too late: once more');
			return 0;
		}
	);
}

# It stays full.
ok(make_stuck(sub { symlink '/dev/full', "$file.tmp" }), 'the disk stays full');
my $good = contents($file);
wait_for_log(
	$node,
	qr/LOG:  ${not_written}No space left on device/,
	'full disk: the log says so', $offset
);
worker_works($node, 4);
is(log_count($node, $not_written,                 $offset), 1, 'full disk: once in four seconds');
is(log_count($node, qr/.*(?:pg_stat|No space).*/, $offset), 1, 'full disk: and nothing else');
ok(contents($file) eq $good, 'full disk: the file stays as it is');
chmod 0700, $directory;
wait_for_save($node, 'full disk: saving goes on');
unlike(PoolMonitor::log_text($node, $offset), $not_used, 'full disk: nothing was set aside');

# Nothing can be written beside the file.
$offset = -s $node->logfile;
ok(until_true(sub { mkdir "$file.tmp" }), 'the temporary file cannot be made');
$good = contents($file);
wait_for_log($node, $not_written, 'cannot be made: the log says so', $offset);
worker_works($node, 3);
is(log_count($node, $not_written, $offset), 1, 'cannot be made: once in three seconds');
ok(contents($file) eq $good, 'cannot be made: the file stays as it is');

# the server stops in good order all the same
$batch = PoolMonitor::Holder->new($node, application_name => 'batch', sessions => 1);
$batch->close;
$offset = -s $node->logfile;
ok($node->stop('fast', fail_ok => 1), 'cannot be saved: the server stops');
like(
	PoolMonitor::log_text($node, $offset),
	qr/database system is shut down/,
	'cannot be saved: in good order'
);
is(log_count($node, $not_written, $offset), 1, 'cannot be saved: the log says so');
is(log_count($node, 'PANIC|TRAP|FATAL:  (?!terminating)', $offset), 0, 'cannot be saved: no PANIC');
ok(contents($file) eq $good, 'cannot be saved: the file stays as it is');
$offset = -s $node->logfile;
$node->start;
wait_for(
	$node, $events,
	'cannot be saved: the next start says that something is lost',
	"started, statistics_lost: $disorder"
);
is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
	'1', 'cannot be saved: what was saved before is there');
wait_for_log($node, $not_written, 'cannot be saved: still not', $offset);
rmdir "$file.tmp" or die "$file.tmp: $!";
wait_for_save($node, 'cannot be saved: it goes on when it can');

# Everything is written, but cannot take the place of the former file.
ok(make_stuck(sub { sysopen my $new, "$file.tmp", O_WRONLY | O_CREAT | O_EXCL }),
	'the file cannot be replaced');
$good = contents($file);
wait_for_log($node, $not_written, 'cannot be replaced: the log says so', $offset);
worker_works($node, 3);
is(log_count($node, $not_written, $offset), 1, 'cannot be replaced: once in three seconds');
is(log_count($node, qr/.*(?:pg_stat|Permission denied).*/, $offset),
	1, 'cannot be replaced: and nothing else');
ok(contents($file) eq $good, 'cannot be replaced: the file stays as it is');
chmod 0700, $directory or die "$directory: $!";
wait_for_save($node, 'cannot be replaced: it goes on when it can');

# ---- a file that cannot be opened ----

$node->stop;
ok(!-e "$file.tmp", 'no temporary file is left');
$saved = contents($file);
chmod 0, $file or die "$file: $!";
$offset = -s $node->logfile;
$node->start;
wait_for(
	$node, $events,
	'cannot be opened: an event says so',
	'started, statistics_lost: it cannot be opened'
);
worker_works($node, 0.2);
@why = PoolMonitor::log_text($node, $offset) =~ /$not_used .*: (.*)/g;
is("@why", 'it cannot be opened', 'cannot be opened: the log says so');
chmod 0600, "$file.bad" if -e "$file.bad";
ok((contents("$file.bad") // '') eq $saved, 'cannot be opened: set aside');
my $new = contents($file);
ok(defined $new && field($new, 'complete') == 0, 'cannot be opened: there is a new one');
chmod 0600, $file;
is(ask("SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'batch'"),
	'0', 'cannot be opened: it begins anew');

# ---- what is no file to be read: the worker must not wait for it ----

sub strange
{
	my ($what, $make, $why) = @_;
	$node->stop;
	foreach my $path ($file, "$file.bad", "$file.tmp")
	{
		die "$path: $!" if -e $path && !unlink $path;
	}
	$make->();
	$node->start;
	wait_for($node, $events, "$what: an event says so", "started, statistics_lost: $why");
	worker_works($node, 0.2);
	ok(-f $file && -e "$file.bad", "$what: set aside, and there is a new one");
	return;
}

sub fifo
{
	my ($path) = @_;
	POSIX::mkfifo($path, 0600) or die "$path: $!";
	return;
}

sub sparse
{
	my ($content) = @_;
	put_contents($file, $content);
	truncate($file, 3 * 1024**3) or die "$file: $!";
	return;
}

my $sound = contents($file);
strange('a FIFO',        sub { fifo($file) }, 'it is not an ordinary file');
strange('3 GB of zeros', sub { sparse('') },  q{it is not a file of pool_monitor's statistics});
strange('3 GB after what it should be', sub { sparse($sound) }, 'it is not complete');
unlink "$file.bad" or die "$file.bad: $!";
wait_for_save($node, 'it saves');
fifo("$file.tmp");
wait_for_save($node, 'a FIFO in place of the temporary file: it saves all the same');

# ---- rings that become shorter and longer ----

my %ring = (
	minutes =>
	  {ring => 0, seconds => 60, resolution => '1 minute', short => 10, long => 100, forged => 20},
	hours =>
	  {ring => 1, seconds => 3600, resolution => '1 hour', short => 3, long => 50, forged => 8}
);

sub forged_rows
{
	my ($r) = @_;
	return [
		split /\n/,
		ask(
			"SELECT concat_ws('|', extract(epoch FROM bucket_start)::bigint, seen, avg_connections, max_connections, avg_busy, max_busy, connects, disconnects, refused, retired, transactions, overflow_seconds, exhausted_seconds, over_seconds) FROM pool_monitor.history WHERE pool = 'app' AND resolution = '$r->{resolution}' AND bucket_start < to_timestamp($r->{end}) ORDER BY bucket_start"
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

# The past is forged, so that nobody has to wait for it.
$node->stop;
$saved = contents($file);
foreach my $r (values %ring)
{
	$r->{end} = int(time / $r->{seconds}) * $r->{seconds};
	my @starts = map { $r->{end} - $_ * $r->{seconds} } reverse 1 .. $r->{forged};
	$r->{rows} = [map { "$starts[$_ - 1]|" . bucket_row($_) } 1 .. @starts];
	$saved = with_history($saved, $r->{ring}, @starts);
}
put_contents($file, $saved);
$offset = -s $node->logfile;
$node->start;
wait_for_ticks('forged');
is_deeply(forged_rows($ring{$_}), $ring{$_}{rows}, "all $_ are back") foreach sort keys %ring;

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
restart_with(
	'shorter',
	"history_minutes = $ring{minutes}{short}",
	"history_hours = $ring{hours}{short}"
);
$_->{kept} = $_->{rows} foreach values %ring;
$ring{$_}{kept} = newest('shorter', $_, $ring{$_}{kept}, $ring{$_}{short}) foreach sort keys %ring;
restart_with(
	'longer again',
	"history_minutes = $ring{minutes}{long}",
	"history_hours = $ring{hours}{long}"
);
newest('longer again', $_, $ring{$_}{kept}, $ring{$_}{short}) foreach sort keys %ring;
is(log_count($node, $not_used, $offset), 0, 'no complaint about rings');
$node->stop;

# ---- less room for applications and pools ----

$other->start;
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
my %was = began();
is("@was{qw(p1 p2 p3)}", '1 2 3', 'sessions that began in each pool');
cmp_ok($was{rest}, '>', 6, 'and elsewhere');

restart_other('max_applications = 2');
my %is = began();
$was{rest}++;
is_deeply(\%is, \%was, 'max_applications is less: none is lost');
cmp_ok($other->safe_psql('postgres', 'SELECT count(application_name) FROM pool_monitor.pool_stats'),
	'<=', 2, 'max_applications is less: two have rows of their own');
is(
	$other->safe_psql(
		'postgres',
		"SELECT connects - taken_over >= 4 FROM pool_monitor.pool_stats WHERE pool = '(other)'"
	),
	't',
	'max_applications is less: the rest is (other)'
);
$was{rest} += 2;

# Room for one pool. The third goes to (other); the second is forgotten at
# the first tick, to keep a place free for one that may be declared next.
restart_other('max_applications = 100', 'max_pools = 1');
%is = began();
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

foreach my $server ($node, $other, $standby)
{
	is(log_count($server, 'PANIC|TRAP'), 0, 'no PANIC of ' . $server->name);
}
done_testing();
