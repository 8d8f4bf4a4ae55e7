# Who must never be retired, while retirement goes on all around them: a pool that takes
# every session, cleaned up ten times a second on schedule and several times a second by
# hand. Needs real replication, parallel queries, vacuum, and clients that no library
# would make.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor;
use PoolMonitorNeverHit;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('never', <<'EOC', init => {allows_streaming => 'logical'});
pool_monitor.recycle_interval = 100ms
pool_monitor.recycle_margin = 0
pool_monitor.protected_roles = 'guarded'
pool_monitor.max_events = 100000
autovacuum_naptime = 1s
authentication_timeout = 10min
max_prepared_transactions = 2
max_worker_processes = 20
EOC

sub value { return $node->safe_psql('postgres', $_[0]) }

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE app LOGIN REPLICATION; CREATE ROLE other; CREATE ROLE guarded; CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE former LOGIN SUPERUSER; CREATE ROLE later LOGIN; CREATE ROLE knocker LOGIN PASSWORD 'secret';
GRANT other, former TO app;
CREATE ROLE by_other LOGIN IN ROLE other;     ALTER ROLE by_other SET role = 'other';
CREATE ROLE by_guarded LOGIN IN ROLE guarded; ALTER ROLE by_guarded SET role = 'guarded';
CREATE ROLE by_option LOGIN IN ROLE guarded;
CREATE ROLE by_boss LOGIN IN ROLE boss;       ALTER ROLE by_boss SET role = 'boss';

CREATE TABLE many WITH (parallel_workers = 2, fillfactor = 10) AS SELECT i FROM generate_series(1, 200) i;
CREATE TABLE pasted (t text);
CREATE TABLE published (t text);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
CREATE PUBLICATION p FOR TABLE published;
SELECT pg_create_logical_replication_slot('applied', 'pgoutput');
SELECT pg_create_logical_replication_slot('decoded', 'test_decoding');

-- a vacuum of this takes minutes
CREATE TABLE dirt WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1) AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 10000) i;
DELETE FROM dirt WHERE i % 2 = 0;

CREATE DATABASE subscriber;
EOS
$node->safe_psql('postgres', $gate);
declare_all($node);

my $hba = slurp_file($node->data_dir . '/pg_hba.conf');
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all knocker password\n$hba");
my $loaded = value('SELECT pg_conf_load_time()');
$node->reload;
wait_for($node, "SELECT pg_conf_load_time() > '$loaded'", 'who knocks needs a password');

# ---- whom it will come by ----

# The name of each session, its role, what it asks for as it logs in, what it
# then does, and what becomes of it.
my @roles = (
	['set_role',       'app',      '', ['SET ROLE other'], 'declined: its role was changed'],
	['default_undone', 'by_other', '', ['SET ROLE NONE'],  'declined: its role was changed'],
	[
		'was_superuser', 'former', '',
		['SET SESSION AUTHORIZATION app'],
		'declined: its role was changed'
	],
	[
		'disguised', 'former', '',
		['SET SESSION AUTHORIZATION app', 'SET ROLE former'],
		'declined: its role was changed'
	],
	['is_superuser',     'boss',       '', ['SET SESSION AUTHORIZATION app'], 'kept: superuser'],
	['became_superuser', 'later',      '', [],                                'kept: superuser'],
	['by_superuser',     'by_boss',    '', [],                                'kept: superuser'],
	['by_protected',     'by_guarded', '',                        [], 'kept: protected role'],
	['option_protected', 'by_option',  ' options=-crole=guarded', [], 'kept: protected role'],
	['default_role',     'by_other',   '',                        [], 'retired'],
	['role_was_reset',   'app',        '', ['SET ROLE other', 'RESET ROLE'],            'retired'],
	['role_was_local',   'app',        '', ['BEGIN', 'SET LOCAL ROLE other', 'COMMIT'], 'retired'],
	['role_rolled_back', 'app',        '', ['BEGIN', 'SET ROLE other', 'ROLLBACK'],     'retired'],
);
my @retired = map { $_->[0] } grep { $_->[4] eq 'retired' } @roles;
my @kept    = map { $_->[0] } grep { $_->[4] ne 'retired' } @roles;
my $talker  = client('talker.py', $node->host, $node->port);
is($talker->answer, 'ready', 'the clients');
my %pid;

sub begin
{
	my ($name, $user, $options, @statements) = @_;
	$pid{$name} = $talker->do("open $name $user$options");
	$talker->do("sql $name $_") foreach @statements;
	return;
}
begin(@$_[0 .. 2], @{$_->[3]}) foreach @roles;
$node->safe_psql('postgres', 'ALTER ROLE former NOSUPERUSER; ALTER ROLE later SUPERUSER');

# at work, or so it should look
begin($_, 'app', '') foreach qw(copying_in copying_out function parallel reads_nothing full);
is($talker->do('copy copying_in COPY pasted FROM STDIN'),
	'ready', 'COPY FROM STDIN waits for its client');
$talker->do(
	q{send copying_out COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT});
$talker->do('send function SELECT pass_gate(1)');
$talker->do("sql parallel SET $_ = 0")
  foreach qw(parallel_setup_cost parallel_tuple_cost min_parallel_table_scan_size);
$talker->do('send parallel SELECT count(*) FROM many WHERE pass_gate(i)');
$talker->do('ask reads_nothing 5000');
begin('cursor', 'app', '', 'BEGIN', 'DECLARE c CURSOR FOR SELECT i FROM many ORDER BY i',
	'FETCH c');
begin(
	'prepared', 'app', '', 'BEGIN',
	q{INSERT INTO pasted VALUES ('prepared')},
	q{PREPARE TRANSACTION 'p'}
);
is(
	$talker->do('knock knocker knocker'),
	'asked for a password',
	'a login that waits for its password'
);
my $knocked = value('SELECT clock_timestamp()');
my $room    = $talker->do('fill full');
my $away    = PoolMonitor::Holder->new($node, user => 'app', application_name => 'away');
$pid{away} = $away->do('pid 0');

# replication: a receiver each of WAL and of changes, a backup nobody reads, a
# subscription, and sessions that are connected for replication and idle
my %idle_sender = (physical => 'true', logical => 'database');
begin("idle_$_", 'app', " replication=$idle_sender{$_}") foreach sort keys %idle_sender;
my $folder    = PostgreSQL::Test::Utils::tempdir();
my $publisher = $node->connstr('postgres') . ' user=app application_name';
my $wal       = IPC::Run::start(
	['pg_receivewal', '-d', "$publisher=receives", '-D', $folder, qw(--no-loop -s 1)]);
my $changes = IPC::Run::start(
	[
		'pg_recvlogical',     '-d',
		"$publisher=decodes", '-f',
		"$folder/changes",    qw(-S decoded --start --no-loop -s 1)
	]
);
pipe(my $backup_end, my $backup_begin) or die "pipe: $!";
my $backup =
  IPC::Run::start(['pg_basebackup', '-d', "$publisher=backup", qw(-D - -Ft -X fetch -c fast)],
	'>', $backup_begin);
close $backup_begin;
$node->safe_psql('subscriber', <<"EOS");
CREATE TABLE published (t text);
CREATE SUBSCRIPTION s CONNECTION '${\ ($publisher =~ s/'/''/gr)}=applies' PUBLICATION p WITH (create_slot = false, slot_name = 'applied', copy_data = false);
EOS

sub states { return "SELECT count(*) FROM pg_stat_activity WHERE $_[0]" }
subtest 'what all of these should look like before it begins' => sub {
	wait_for(
		$node,
		states("pid = $pid{copying_out} AND wait_event = 'ClientWrite' AND state = 'active'"),
		'COPY TO STDOUT waits for its client', 1
	);
	wait_for(
		$node,
		states("pid = $pid{reads_nothing} AND wait_event = 'ClientWrite' AND state = 'idle'"),
		'idle, but with an answer that its client does not read', 1
	);
	wait_for(
		$node,
		states("pid = $pid{full} AND wait_event = 'ClientRead' AND state = 'idle'"),
		"idle, with $room answers that its client has not read", 1
	);
	wait_for($node, states("leader_pid = $pid{parallel}"), 'two parallel workers', 2);
	wait_for(
		$node,
		states("application_name = 'backup' AND wait_event = 'ClientWrite'"),
		'a backup that nobody reads', 1
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
		'three receivers', 3
	);
	wait_for(
		$node,
		"SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'dirt'::regclass",
		'a vacuum at work', 1
	);
};

# Everybody who is to be there afterwards as before.
my %leaves    = map { $_ => 1 } @retired, qw(prepared full away);
my $staying   = join ',', map { $pid{$_} } grep { !$leaves{$_} } sort keys %pid;
my $everybody = <<"EOS";
SELECT pid, leader_pid, backend_type, backend_start FROM pg_stat_activity
WHERE pid IN ($staying) OR leader_pid IS NOT NULL
	OR pid IN (SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'dirt'::regclass)
	OR backend_type NOT IN ('client backend', 'autovacuum worker', 'parallel worker', 'io worker') AND backend_type NOT LIKE 'pool_monitor %'
ORDER BY backend_type, pid
EOS
my $before = value($everybody);
note($before);
kill 'STOP', $away->{pid};
my $canaries;
subtest 'and it comes' => sub {
	recycle_mode($node, 'terminate');
	$canaries = client('canaries.py', $node->host, $node->port, 4);
	let_cycles_pass($node);

	foreach (
		@roles,
		['copying_in',    0, 0, 0, 'kept: busy'],
		['copying_out',   0, 0, 0, 'kept: busy'],
		['function',      0, 0, 0, 'kept: busy'],
		['parallel',      0, 0, 0, 'kept: busy'],
		['cursor',        0, 0, 0, 'kept: in a transaction'],
		['reads_nothing', 0, 0, 0, 'declined: not yet waiting for the client'],
		['prepared',      0, 0, 0, 'retired'],
		['full',          0, 0, 0, 'declined: answers not read by the client'],
		['away',          0, 0, 0, 'retired']
	  )
	{
		my ($name,   $fate)   = @$_[0, 4];
		my ($action, $reason) = $fate =~ /(\w+)(?:: (.*))?/;
		if ($action eq 'kept')
		{
			is(value("SELECT keep_reason FROM pool_monitor.sessions WHERE pid = $pid{$name}"),
				$reason, "$name is kept: $reason");
			is(
				value(
					"SELECT count(*) FROM pool_monitor.events WHERE pid = $pid{$name} AND event IN ('declined', 'retired')"
				),
				0,
				'and was not asked'
			);
			next;
		}

		# two who ask at once may miss an answer, which is no other answer
		wait_for(
			$node,
			"SELECT string_agg(DISTINCT coalesce(detail->>'reason', event), ', ') FROM pool_monitor.events WHERE pid = $pid{$name} AND event = '$action' AND detail->>'reason' IS DISTINCT FROM 'no answer'",
			"$name: $fate",
			$reason // $action
		);
	}
	is($talker->do("end $_"), 'ended 57P01', "$_: its client was told")
	  foreach @retired, 'prepared';
	is($talker->do("answers full $room"), $room,         'its answers can be read');
	is($talker->do('end full'),           'ended 57P01', 'and then it is retired');
	wait_for(
		$node,
		states("pid = $pid{away}"),
		'a session goes though nobody is there to be told', 0
	);
	is(value(q{SELECT gid FROM pg_prepared_xacts}),
		'p', 'a prepared transaction outlives the session that prepared it');
	$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
	kill 'CONT', $away->{pid};
	like($away->do('sql 0 SELECT 1'), qr/^error/, 'who comes back finds it gone');
};

subtest 'processes that are stopped while they are at rest are asked, both ways' => sub {
	my @stopped = qw(stopped quitter half_stopped);
	recycle_mode($node, 'off');
	begin($_, 'app', '') foreach @stopped;
	kill 'STOP', @pid{@stopped};
	recycle_mode($node, 'terminate');

	# Counted, because events of so many declines are put together. As many as there are
	# sessions, and more: each of them was asked, by hand and on schedule.
	my $unanswered =
	  "SELECT coalesce((declined_reasons->>'no answer')::int, 0) FROM pool_monitor.pool_stats WHERE pool = 'all'";
	my $without = value($unanswered);
	wait_for($node, "SELECT ($unanswered) >= $without + 9", 'who is stopped does not answer');
	my $abandoned = "SELECT ended_abandoned FROM pool_monitor.pool_stats WHERE pool = 'all'";
	my $others    = value($abandoned);
	$talker->do('send stopped SELECT 42');
	kill 'CONT', $pid{stopped};
	is($talker->do('read stopped'),   42,   'who goes on, goes on with what came in meanwhile');
	is($talker->do('hangup quitter'), 'ok', 'another one loses its client');
	kill 'CONT', $pid{quitter};
	wait_for($node, states("pid = $pid{quitter}"), 'and so it ends', 0);
	is(value($abandoned), $others + 1, 'by itself');
	kill 'CONT', $pid{half_stopped};
	is($talker->do('end half_stopped'), 'ended 57P01', 'one that goes on, at rest, is asked again');
};

subtest 'a login that took long begins over age, but it begins' => sub {
	is(
		$talker->do(
			"enter knocker secret SELECT backend_start < '$knocked' FROM pg_stat_get_activity(pg_backend_pid())"
		),
		't',
		'the login that was under way gets in, and its statement is answered'
	);
	is($talker->do('end knocker'), 'ended 57P01', 'then it is retired as any other');
	let_cycles_pass($node);
};

subtest 'who is still there, and works on' => sub {
	recycle_mode($node, 'off');
	is(value($everybody), $before, 'all are there, the same processes');
	$node->safe_psql('postgres', q{DELETE FROM gate; INSERT INTO published VALUES ('afterwards')});
	is($talker->do('paste copying_in pasted'),    'ok', 'COPY FROM STDIN is finished');
	is($talker->do('rows copying_out'),           5000, 'COPY TO STDOUT is finished');
	is($talker->do('read function'),              't',  'the function returns');
	is($talker->do('read parallel'),              200,  'the parallel query returns');
	is($talker->do('answers reads_nothing 5000'), 5000, 'all answers can be read');
	is($talker->do('sql cursor FETCH c'),         2,    'the cursor goes on');
	is($talker->do('sql cursor COMMIT'),          'ok', 'and its transaction');
	is($talker->do("sql $_ SELECT 42"),           42, "$_ works on") foreach @kept, 'idle_logical';
	like($talker->do('sql idle_physical IDENTIFY_SYSTEM'), qr/^\d+$/, 'idle_physical works on');
	is(
		value('SELECT string_agg(t, $$ $$ ORDER BY t) FROM pasted'),
		'pasted prepared',
		'what was written is there'
	);

	my $lsn = value('SELECT pg_current_wal_flush_lsn()');
	wait_for(
		$node,
		"SELECT write_lsn >= '$lsn' FROM pg_stat_replication WHERE application_name = 'receives'",
		'WAL is received', 't'
	);
	ok($node->poll_query_until('subscriber', 'SELECT t FROM published', 'afterwards'),
		'changes are applied');
	my $looks = 10 * $PostgreSQL::Test::Utils::timeout_default;
	usleep(100_000) while slurp_file("$folder/changes") !~ /afterwards/ && $looks-- > 0;
	like(slurp_file("$folder/changes"), qr/afterwards/, 'and received');
	my $bytes = 0;
	while (my $n = sysread $backup_end, my $piece, 1 << 20) { $bytes += $n; }
	ok($backup->finish, "the backup is complete: $bytes bytes");
	$_->signal('INT'), $_->finish foreach $wal, $changes;

	is(
		value(
			"SELECT string_agg(DISTINCT detail->>'application_name', ' ' ORDER BY detail->>'application_name') FROM pool_monitor.events WHERE event = 'retired'"
		),
		join(' ', sort qw(away canary full half_stopped knocker prepared stopped), @retired),
		'nobody else was retired'
	);
};

is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
$_->close foreach $canaries, $talker, $away;
$node->safe_psql('subscriber',
	'ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s'
);
$node->stop;
done_testing();
