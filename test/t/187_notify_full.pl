# NOTIFY that fails, because the queue of notifications cannot be written: the log says once
# why, nobody waits for a lock of it, and no event is lost to who listens. Only TAP can take
# the folder of the queue away, and have a session that listens and does not read.
use strict;
use warnings FATAL => 'all';
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = new_server('notify_full', "log_min_messages = debug1\n");
my $folder = $node->data_dir . '/pg_notify';
my $failed = qr/pool_monitor could not tell those who LISTEN of events: .*/;

declare($node, "INSERT INTO pool_monitor.pools (name, application_name) VALUES ('app', 'app')");

# What nobody reads stays in the queue.
my $lazy = $node->background_psql('postgres');
$lazy->query_safe('LISTEN pool_monitor');
$lazy->query_safe('BEGIN');
$lazy->query_safe('SELECT 1');

sub notify
{
	my ($length) = @_;
	my ($rc)     = $node->psql('postgres', "SELECT pg_notify('other', repeat('x', $length))");
	return $rc == 0;
}

# Until not even a short one has room in what is held in memory.
my $offset = -s $node->logfile;
chmod 0500, $folder or die "$folder: $!";
if (my @pages = glob "$folder/*")
{
	chmod 0400, @pages;
}
foreach my $length (7900, 1000, 100)
{
	my $n = 0;
	$n++ while $n < 200 && notify($length);
	cmp_ok($n, '<', 200, "the queue has no room for $length bytes");
}

query($node, "SELECT pool_monitor.reset('app')");
wait_for_log($node, $failed, 'the log says that it fails', $offset);
like(
	PoolMonitor::log_text($node, $offset),
	qr/${failed}\n.*DETAIL:  Could not .*"pg_notify.*Permission denied.*It tries again/,
	'and why'
);
my ($first) =
  query($node, "SELECT max(seq) FROM pool_monitor.events WHERE event = 'statistics_reset'");

wait_for_log($node, qr/DEBUG: +$failed/, 'it is tried again', $offset);
is(log_count($node, "LOG: +$failed", $offset), 1, 'which is said once');
is(
	query(
		$node,
		"SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = 0"
	),
	'0',
	'no lock is held meanwhile'
);
query($node, "SELECT pool_monitor.reset('app')");
my ($last) =
  query($node, "SELECT max(seq) FROM pool_monitor.events WHERE event = 'statistics_reset'");

chmod 0700, $folder or die "$folder: $!";
chmod 0600, glob "$folder/*";
$lazy->query_safe('COMMIT');
my $heard = '';
my $end   = time + $PostgreSQL::Test::Utils::timeout_default;
until ($heard =~ /"seq": $last,/ || time > $end)
{
	$heard .= $lazy->query('SELECT 1');
	select undef, undef, undef, 0.2;
}
foreach my $seq ($first, $last)
{
	my $n = () = $heard =~ /"seq": $seq,/g;
	is($n, 1, "event $seq is told, once");
}
$lazy->quit;
is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
