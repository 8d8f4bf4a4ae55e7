# Sessions that end by themselves while they are asked to, thousands of them:
# whether the question is for a session or for one that ended a moment ago, it
# reaches nobody else, and the books are exact. Then the same in a process
# namespace, in which the process ID of an ended session is taken at once, by
# another session or by a process that is not PostgreSQL's. Needs processes that come and
# go by the thousand, and a namespace to have them in.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor qw(:DEFAULT query);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions   = $ENV{CHURN_SESSIONS} || 1000;
my $asked_late = 0;    # questions to sessions that had ended, of both churns: a matter of chance
my $record     = PostgreSQL::Test::Utils::tempdir() . '/sessions';

my $settings = <<'EOC';
pool_monitor.recycle_interval = 1h
pool_monitor.recycle_margin = 0
pool_monitor.recycle_limit = 100000
pool_monitor.max_events = 100000
pool_monitor.notify_events = off
autovacuum = off
EOC

sub stat_of
{
	my ($node, $pool, $what) = @_;
	return query($node, "SELECT $what FROM pool_monitor.pool_stats WHERE pool = '$pool'");
}

# Every session of the pool is asked, again and again (the constraint goes, as in
# 008). It is so large that neither the gap between two nor a pause stands in the
# way of the schedule. The protected roles may be so many that recycle() knows its
# candidates for long before it asks them: it looks each application's role up.
sub declare_pool
{
	my ($node, $pool, %how) = @_;
	my $mode     = $how{schedule} ? 'terminate' : 'report';
	my $interval = $how{schedule} ? '100ms'     : '1h';
	my $roles    = join ',', ('postgres') x ($how{protected} // 1);

	declare($node, <<"EOS");
DO \$\$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;
ALTER TABLE pool_monitor.pools DROP CONSTRAINT IF EXISTS "pool_recycle must be NULL (never), or 1 second to 365 days";
DELETE FROM pool_monitor.pools;
INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
VALUES ('$pool', '$pool %', 100000, 100000, '1 ms', '0', '$mode');
EOS
	$node->append_conf('postgresql.conf',
		"pool_monitor.recycle_interval = $interval\npool_monitor.protected_roles = '$roles'\n");

	# pg_ctl would signal the wrong process where the server is in a namespace
	query($node, 'SELECT pg_reload_conf()');
	return;
}

# What the clients saw, from the record: how many sessions ended in which way,
# which were retired, and which had ended when recycle() was to ask them.
sub seen
{
	my (%how, %retired, %gone);
	foreach (split /\n/, slurp_file($record))
	{
		my ($pid, $start, $how) = split / /;
		$how{$how}++ if $how ne 'gone';
		$retired{"$pid|$start"} = 1 if $how eq 'retired';
		$gone{"$pid|$start"}    = 1 if $how eq 'gone';
	}
	note(join ', ', map { "$_: $how{$_}" } sort keys %how);
	return (\%how, \%retired, \%gone);
}

sub compare_books
{
	my ($node, $pool, $how, $statements) = @_;

	is(
		join(' ', sort keys %$how),
		'abandoned client retired',
		"$pool: each session ended in a way that is known"
	);
	wait_for($node, "SELECT connections FROM pool_monitor.pool_stats WHERE pool = '$pool'",
		'none is left', 0);
	is(
		stat_of(
			$node,
			$pool,
			'connects, disconnects, ended_client, ended_abandoned, retired, ended_fatal + ended_timeout + ended_killed + taken_over + given_over'
		),
		"$sessions|$sessions|$how->{client}|$how->{abandoned}|$how->{retired}|0",
		'the books say what the clients saw'
	);
	is(stat_of($node, $pool, 'transactions'), $statements, 'of their statements, too');
	note('declined: ' . stat_of($node, $pool, 'declined_reasons'));
	is(
		stat_of(
			$node, $pool,
			"declined_reasons ?| ARRAY['another session by now', 'asked too long ago']"
		),
		'f',
		'no question reached a session that it was not for'
	);
	is(
		stat_of(
			$node,
			$pool,
			'declined = (SELECT coalesce(sum(value::int), 0) FROM jsonb_each_text(declined_reasons))'
		),
		't',
		'each decline has its reason'
	);
	return;
}

# Each session that was retired has an event, but for those whose answer was
# overwritten before its asker read it: by the next question to the same slot, that
# another one put to the next session in it. All the asker knows of such a one is
# that it has ended. (It takes a session that is over age within milliseconds.)
sub compare_events
{
	my ($node, $pool, $retired, $gone, %how) = @_;
	my %told = map { $_ => 1 } split /\n/, query($node, <<"EOS");
SELECT pid, (extract(epoch FROM (detail->>'backend_start')::timestamptz) * 1000000)::bigint
FROM pool_monitor.events WHERE event = 'retired' AND pool = '$pool'
EOS
	my @missing = grep { !$told{$_} } sort keys %$retired;

	is(join("\n", grep { !$retired->{$_} } sort keys %told), '',
		'whom an event calls retired, was');
	note(@missing . ' were retired without an event');
	if ($how{askers} + $how{schedule} == 1)
	{
		is(@missing, 0, 'who was retired, has an event');
	}
	elsif (!$how{schedule})
	{
		is(join("\n", grep { !$gone->{$_} } @missing),
			'', 'who was retired, has an event, or ended unread');
	}
	cmp_ok(scalar keys %told, '>', 0, 'some were retired');
	return;
}

# Sessions come and go, and are asked by so many by hand, and on schedule or not.
# $run runs a program. Returns what the clients counted.
sub churn
{
	my ($node, $pool, $run, %how) = @_;
	my $offset = -s $node->logfile;

	declare_pool($node, $pool, %how);
	my $out = $run->(
		python(),    "$FindBin::RealBin/../clients/churn.py",
		$node->host, $node->port, $pool, $sessions, $how{clients}, $how{idle}, $how{askers},
		$record,     $how{reuse} ? 'reuse' : ()
	);
	note("$pool: $out");
	my %count = $out =~ /(\w+)=(\d+)/g;
	my ($ends, $retired, $gone) = seen();
	compare_books($node, $pool, $ends, $count{statements});
	compare_events($node, $pool, $retired, $gone, %how);

	if ($how{askers})
	{
		cmp_ok($count{asked}, '>', $sessions / 10, 'many were asked by hand');
		$asked_late += $count{gone};
	}
	is(
		log_count(
			$node, 'PANIC|TRAP|terminated by signal|background worker "pool_monitor" .* exited',
			$offset
		),
		0,
		'nothing broke'
	);
	return %count;
}

sub outside
{
	my ($out, $err) = run_command([@_]);
	is($err, '', 'clients come and go');
	return $out;
}
my $node = new_server('churn', $settings);
foreach my $how (['one asks', 1], ['many ask', 3])
{
	my ($pool, $askers) = @$how;
	subtest "the books are exact: $pool" => sub {
		my %load = (clients => 8, idle => 3, askers => $askers, schedule => 0);
		churn($node, $pool, \&outside, %load);
	};
}
cmp_ok($asked_late, '>', 0, 'some of whom it was asked had ended');
$node->stop;

# ---- in a process namespace ----

my @namespace =
  qw(setpriv --pdeathsig KILL unshare --user --map-current-user --keep-caps --pid --fork --mount-proc --kill-child=KILL);

# Why it is not possible; '' when it is.
sub no_namespace
{
	my ($pid, $error) = eval {
		run_command(
			[
				@namespace, 'sh', '-c',
				'echo 1000 >/proc/sys/kernel/ns_last_pid && sh -c "echo \$\$"'
			]
		);
	};
	return '' if defined $pid && $pid eq '1001';
	return 'no process namespace in which process IDs can be chosen: ' . ($error // $@);
}

my $why = no_namespace();
SKIP:
{
	skip $why, 1 if $why;

	# a shell that does what it is told is the first process of the namespace;
	# with it all others end
	my ($in, $answer) = ('', '');
	my $shell = IPC::Run::start([@namespace, 'sh'],
		'<', \$in, '>', \$answer, IPC::Run::timeout(3 * $PostgreSQL::Test::Utils::timeout_default));
	my $inside = sub {
		$answer = '';
		$in .= join(' ', map { "'$_'" } @_) . "; echo exit \$?\n";
		$shell->pump until $answer =~ /^exit (\d+)\n/m;
		is($1, 0, "in the namespace: $_[0]");
		return $answer =~ s/^exit \d+\n//mr;
	};
	my $inner = PostgreSQL::Test::Cluster->new('reuse');

	# the server has no more rights than anywhere else
	my $pg_ctl = sub {
		return $inside->(
			qw(setpriv --inh-caps=-all --ambient-caps=-all pg_ctl -w -D),
			$inner->data_dir, '-l', $inner->logfile, @_
		);
	};
	$inner->init;
	$inner->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'pool_monitor'
pool_monitor.sample_interval = 50ms
max_connections = 40
log_min_messages = log
log_statement = none
$settings
EOC
	$pg_ctl->('start');
	query($inner, 'CREATE EXTENSION pool_monitor');
	my %asking = (
		'schedule asks' => {clients => 16, idle => 100, askers => 0, schedule => 1},
		'all ask'       => {clients => 8, idle => 3, askers => 2, schedule => 1, protected => 20000}
	);
	foreach my $pool (sort keys %asking)
	{
		subtest "process IDs are taken again: $pool" => sub {
			my %count = churn($inner, $pool, $inside, reuse => 1, %{$asking{$pool}});

			is($count{detected}, 1, 'a canary that is sent a signal notices');
			is($count{signals},  0, 'and no other got one');
			cmp_ok(
				$count{heirs_sessions}, '>',
				$sessions / 10,
				'sessions that had the process ID of another one'
			);
			cmp_ok(
				$count{heirs_canaries}, '>',
				$sessions / 20,
				'canaries that had the process ID of a session'
			);
		};
	}
	$pg_ctl->('stop', '-m', 'fast');
	$in .= "exit\n";
	$shell->finish;
}
done_testing();
