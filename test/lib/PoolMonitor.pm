# What the TAP tests share: a private server with pool_monitor preloaded, and waiting for
# it. The clients are in PoolMonitorClients.pm.
package PoolMonitor;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use IPC::Run ();
use PoolMonitorClients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT =
  qw(new_server wait_for wait_for_log log_count declare create_replay create_forge make_certificate
  must_run child_pid python);
our @EXPORT_OK =
  qw(query insert_pool worker_pid holder holder_of app_holder client client_command pgbench
  disturb has_usr2 logs_in);

# The answer to a statement, which must not fail.
sub query
{
	my ($node, $sql, $dbname) = @_;
	return $node->safe_psql($dbname // 'postgres', $sql);
}

# Tries to log in, with parameters of libpq besides the node's: true when that succeeds. The
# statement is no input of psql's, which it may have left before anybody has written it.
sub logs_in
{
	my ($node, $parameters) = @_;
	return IPC::Run::run(
		['psql', '-X', '-w', '-c', 'SELECT 1', '-d', $node->connstr('postgres') . " $parameters"],
		'<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
}

sub worker_pid
{
	my ($node) = @_;
	return query($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool_monitor'");
}

# The statement that declares a pool for the application of its name; columns are given
# as SQL.
sub insert_pool
{
	my ($name, %columns) = @_;
	my %all = (application_name => "'$name'", %columns);
	return
		'INSERT INTO pool_monitor.pools (name, '
	  . join(', ', sort keys %all)
	  . ") VALUES ('$name', "
	  . join(', ', map { $all{$_} } sort keys %all) . ');';
}

# Runs a command that the rest needs; unlike system_or_bail, a failure ends only
# this file and not the whole run.
sub must_run
{
	my (@command) = @_;
	system_log(@command) == 0 or die "failed: @command";
	return;
}

# From its next start on, the server speaks TLS, with a certificate of its own.
sub make_certificate
{
	my ($node) = @_;
	my $data = $node->data_dir;

	must_run(
		'openssl',                      'req',     '-new',             '-x509',
		'-days',                        '2',       '-nodes',           '-subj',
		'/CN=localhost',                '-newkey', 'ec',               '-pkeyopt',
		'ec_paramgen_curve:prime256v1', '-keyout', "$data/server.key", '-out',
		"$data/server.crt"
	);
	chmod 0600, "$data/server.key";
	$node->append_conf('postgresql.conf', "ssl = on\n");
	return;
}

# A started server with the extension in database postgres, and more settings. Its
# encoding and locale are not those of whoever runs the tests.
sub new_server
{
	my ($name, $conf, %param) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => ['--encoding=UTF8', '--locale=C'], %{$param{init} || {}});
	$node->append_conf('postgresql.conf', <<EOC);
shared_preload_libraries = 'pool_monitor'
pool_monitor.sample_interval = 50ms
pool_monitor.status_hold = 0
max_connections = 40
log_min_messages = log
log_statement = none
EOC
	$node->append_conf('postgresql.conf', $conf) if $conf;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pool_monitor')
	  unless $param{no_extension};
	return $node;
}

# Declares pools and waits until they are in force.
sub declare
{
	my ($node, $sql) = @_;
	$node->safe_psql('postgres', $sql);
	$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
	return;
}

# replay_history() and others, which put a made-up past into the history; see test/modules.
sub create_replay
{
	my ($node) = @_;
	my $library = "$FindBin::RealBin/../modules/pool_monitor_replay/pool_monitor_replay";
	$node->safe_psql('postgres', <<EOS);
CREATE FUNCTION replay_history(pool text, minutes int, connections float8, max_connections int, busy float8, max_busy int,
	connects int, disconnects int, refused int, transactions int, overflow float8, exhausted float8) RETURNS void
	LANGUAGE c STRICT AS '$library', 'pm_replay_history';
CREATE FUNCTION replay_rings(minutes timestamptz[], hours timestamptz[]) RETURNS void
	LANGUAGE c STRICT AS '$library', 'pm_replay_rings';
CREATE FUNCTION replay_stretch(pool text, resolution interval, bucket_start timestamptz, seen float8,
	connections float8, max_connections int, busy float8, max_busy int, connects int, disconnects int, refused int,
	retired int, transactions int, overflow float8, exhausted float8, over float8) RETURNS void
	LANGUAGE c STRICT AS '$library', 'pm_replay_stretch';
CREATE FUNCTION replay_arrivals(pool text, ticks int, squares bigint, checkouts int, waits int, waited float8, timeouts int)
	RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_arrivals';
CREATE FUNCTION replay_arrivals(pool text, ticks int, squares bigint, checkouts int, waits int, waited float8, timeouts int,
	bucket_start timestamptz) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_arrivals';
CREATE FUNCTION replay_use(pool text, minutes int, checkouts int, checked_out float8, open float8)
	RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_use';
CREATE FUNCTION replay_guarded(pool text, minutes int, guarded int, would_be_guarded int, max_connections int, over float8,
	guarded_by_reserves int, guarded_by_rate int)
	RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_guarded';
CREATE FUNCTION replay_holds(pool text, us bigint, n bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_holds';
CREATE FUNCTION replay_long_holds(pool text, n int) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_replay_long_holds';
EOS
	return;
}

# forge_hour_paused() and others, which change shared memory; see test/modules.
sub create_forge
{
	my ($node) = @_;
	my $library = "$FindBin::RealBin/../modules/pool_monitor_forge/pool_monitor_forge";
	$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION forge_hour_paused(ms bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_forge_hour_paused';
CREATE FUNCTION forge_slot(pid int, new_pid int) RETURNS bool LANGUAGE c STRICT AS '$library', 'pm_forge_slot';
CREATE FUNCTION forge_slot_asked(asker int, pid int, new_pid int) RETURNS bool LANGUAGE c STRICT AS '$library', 'pm_forge_slot_asked';
CREATE FUNCTION forge_places(pool text, n int) RETURNS bool LANGUAGE c STRICT AS '$library', 'pm_forge_places';
CREATE FUNCTION forge_guards_opened() RETURNS bigint LANGUAGE c STRICT AS '$library', 'pm_forge_guards_opened';
CREATE FUNCTION forge_guards_age(us bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_forge_guards_age';
CREATE FUNCTION forge_no_memory(context text, bytes int) RETURNS bool LANGUAGE c STRICT AS '$library', 'pm_forge_no_memory';
CREATE FUNCTION forge_age(us bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_forge_age';
CREATE FUNCTION forge_reset(pool text, us bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_forge_reset';
CREATE FUNCTION forge_session_age(ms bigint) RETURNS void LANGUAGE c STRICT AS '$library', 'pm_forge_session_age';
CREATE FUNCTION forge_silence(process text, ms bigint) RETURNS int LANGUAGE c STRICT AS '$library', 'pm_forge_silence';
EOS
	return;
}

# Waits until the query's result is what is expected ("t" if not given). As
# poll_query_until(), but less and less often: each look is two new processes, and
# several files look at a time.
sub wait_for
{
	my ($node, $query, $what, $expected) = @_;
	my $end = time + 3 * $PostgreSQL::Test::Utils::timeout_default;
	my ($rc, $out, $err);

	for (my $pause = 0.1 ; time < $end ; $pause = $pause < 0.4 ? $pause * 1.3 : 0.5)
	{
		($rc, $out, $err) = $node->psql('postgres', $query);
		return pass($what) if $rc == 0 && $err eq '' && $out eq ($expected // 't');
		select(undef, undef, undef, $pause);
	}
	fail($what);
	diag("$query\ngave last: $out $err\nexpected: " . ($expected // 't'));
	return;
}

# The process that the postmaster has started under this title, also one that is in no
# view; undef when there is none. What ends while it is looked at is none.
sub child_pid
{
	my ($node, $title) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');

	foreach my $pid (map { m{/proc/(\d+)$} } glob '/proc/[0-9]*')
	{
		my ($stat, $cmdline) = map { read_now("/proc/$pid/$_") } 'stat', 'cmdline';
		return $pid if $stat =~ /\) \S+ $postmaster / && $cmdline =~ $title;
	}
	return undef;
}

sub read_now
{
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

# Is SIGUSR2 (bit 12) in this set of the process's signals: caught, ignored, pending?
sub has_usr2
{
	my ($pid, $set) = @_;
	my ($mask) = slurp_file("/proc/$pid/status") =~ /^$set:\s*([0-9a-f]+)/m;
	return (hex(substr($mask, -8)) >> 11) & 1;
}

sub log_text
{
	my ($node, $from) = @_;
	return substr(slurp_file($node->logfile), $from // 0);
}

# How often the pattern stands in the server log from an offset on.
sub log_count
{
	my ($node, $pattern, $from) = @_;
	my $text = log_text($node, $from);
	my $n    = () = $text =~ /$pattern/g;
	return $n;
}

sub wait_for_log
{
	my ($node, $pattern, $what, $from) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		if (log_text($node, $from) =~ $pattern)
		{
			pass($what);
			return;
		}
		select(undef, undef, undef, 0.1);
	}
	fail($what);
	diag('the server log: ' . log_text($node, $from));
	return;
}

# Where the whole run has so long and no longer, what was not begun by then says so.
plan(skip_all => "$0 was left out: no time was left (TEST_MINUTES)")
  if $ENV{TEST_UNTIL} && time > $ENV{TEST_UNTIL};

1;
