# Events: each kind is recorded when it happens and once, in the view and by
# NOTIFY; and the log lines of echo_pool. Needs real clients that storm, are
# refused, vanish and listen, and the server log.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use JSON::PP;
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $quoted  = q{a "quoted" \back\\\\slashed\ 'name'};
(my $quoted_sql = $quoted) =~ s/'/''/g;

# debug1 has a line for each background worker that is started
my $node = new_server('events',
	"max_connections = 120\npool_monitor.recycle_interval = 1h\npool_monitor.recycle_margin = 0\nlog_min_messages = debug1\n"
);

# nine slots for ordinary roles, room for ten events and four applications
my $full = new_server('full',
	"max_connections = 12\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\npool_monitor.max_events = 10\npool_monitor.max_applications = 4\n"
);

sub query { my ($on, $sql) = @_; return $on->safe_psql('postgres', $sql) }

# The given columns of the events for which the condition holds, the oldest first.
sub events
{
	my ($on, $columns, $where) = @_;
	return query($on, "SELECT $columns FROM pool_monitor.events WHERE $where ORDER BY seq");
}

# How many events fulfil the condition.
sub number_of
{
	my ($on, $where) = @_;
	return query($on, "SELECT count(*) FROM pool_monitor.events WHERE $where");
}

# Waits until so many events fulfil the condition.
sub wait_for_events
{
	my ($on, $where, $n, $what) = @_;
	return wait_for($on, "SELECT count(*) FROM pool_monitor.events WHERE $where", $what, $n);
}

sub holder
{
	my ($on, $name, %param) = @_;
	return PoolMonitor::Holder->new(
		$on,
		application_name => $name,
		user             => 'client',
		%param
	);
}

# With -c, because psql may be gone before a test could write to its input.
sub psql_as
{
	my ($on, $name, @statements) = @_;
	local $ENV{PGAPPNAME} = $name;
	my ($out, $err) = run_command(
		[
			'psql', '-XAt', '-d',
			$on->connstr('postgres') . ' user=client',
			map { ('-c', $_) } @statements
		]
	);
	return $err;
}

$_->safe_psql('postgres', 'CREATE ROLE client LOGIN') foreach ($node, $full);
declare(
	$node, qq{
	BEGIN;
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES
		('app', 'app', 2, 2), ('storm', 'storm', 5, 5), ('burst', 'burst', 20, 10),
		('$quoted_sql', 'quoted', 1, 0);
	INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, echo_pool) VALUES
		('many', 'many%', 40, 0, '1 s', '0', false),
		('echo', 'echo', 5, 0, '1 s', '0', true), ('silent', 'silent', 5, 0, '1 s', '0', false);
	COMMIT}
);
declare($full,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('tight', 'tight', 9, 0), ('probe', 'probe', 1, 0)"
);

#
# started, and declarations that are loaded
#
is(
	events($node, "seq, pool IS NULL, application_name IS NULL, pid IS NULL, detail", "seq = 1"),
	'1|t|t|t|{"version": "' . query($node, 'SELECT pool_monitor.version()') . '"}',
	'the first event has number 1, is about no pool, and says the version'
);
is(events($node, 'event', 'seq = 1'),     'started', 'it is the start');
is(number_of($node, "event = 'started'"), '1',       'there is one');
is(
	events($node, 'pool IS NULL, detail', "event = 'declarations_loaded'"),
	't|{"declared": 7, "in_force": 7}',
	'one load of seven pools'
);
query($node, 'SELECT pool_monitor.reload()');
is(number_of($node, "event = 'declarations_loaded'"),
	'1', 'a load that changes nothing is no event');

#
# Storms: two clients that connect anew for each transaction, one declared and
# one not; and two that open all they have once. They go on while other things
# are tested.
#
my $storm_script = $node->basedir . '/storm.sql';
append_to_file($storm_script, "SELECT 1;\n");
my %storm;
foreach my $name ('storm', 'stampede')
{
	local $ENV{PGAPPNAME} = $name;
	my ($out, $err) = ('', '');
	$storm{$name} = IPC::Run::start(
		[
			'pgbench', '-n',          '-C', '-c', '1', '-T', 10 * $timeout,
			'-f',      $storm_script, '-d', $node->connstr('postgres') . ' user=client'
		],
		'>',
		\$out,
		'2>',
		\$err
	);
}
my $burst = holder($node, 'burst', sessions => 30);
my $crowd = holder($node, 'crowd', sessions => 30);

#
# Refusals, under the application that tried: the first of a burst at once, the
# whole when ten seconds have passed.
#
my $slots = holder($full, 'tight', sessions => 9);
like(psql_as($full, 'tight', 'SELECT 1'), qr/connection slots are reserved/, 'a full server');
wait_for_events($full, "event = 'refused'", 1, 'the first refusal is told at once');
is(
	events($full, 'pool, application_name IS NULL, pid IS NULL, detail', "event = 'refused'"),
	'tight|t|t|{"refused": 1}',
	'under the pool that was refused'
);
psql_as($full, 'tight',    'SELECT 1') for 1 .. 4;
psql_as($full, 'wanderer', 'SELECT 1') for 1 .. 3;
wait_for_events(
	$full,
	"event = 'refused' AND pool IS NULL AND application_name = 'wanderer' AND (detail->>'refused')::int BETWEEN 1 AND 3",
	1,
	'an application that is not declared has its own, under its name and in no pool'
);

#
# Statuses: once each, however often they are sampled
#
my $app = holder($node, 'app', sessions => 4);
$app->do('busy 4');
wait_for_events($node, "event = 'exhausted' AND pool = 'app'", 1, 'exhausted');
is(
	events($node, 'detail, pid IS NULL, application_name IS NULL', "event = 'exhausted'"),
	'{"busy": 4, "ceiling": 4}|t|t',
	'with its figures'
);
wait_for(
	$node,
	"SELECT status = 'exhausted' AND status_since < clock_timestamp() - interval '0.5 s' FROM pool_monitor.budgets WHERE pool = 'app'",
	'it is seen for ten samples'
);
$app->do('free');
wait_for_events($node, "event = 'no_longer_exhausted' AND pool = 'app'", 1, 'no longer exhausted');
$app->do('open 3');
wait_for_events($node, "event = 'over_budget' AND pool = 'app'", 1, 'over its budget');
wait_for(
	$node,
	"SELECT status = 'over' AND status_since < clock_timestamp() - interval '0.5 s' FROM pool_monitor.budgets WHERE pool = 'app'",
	'it is seen for ten samples'
);
$app->do('close 5');
wait_for_events($node, "event = 'back_in_budget' AND pool = 'app'", 1, 'back in its budget');
is(
	events($node, 'event', "pool = 'app'"),
	"exhausted\nno_longer_exhausted\nover_budget\nback_in_budget",
	'each of them once, in this order'
);
is(
	events(
		$node,
		"(detail->>'connections')::int BETWEEN 5 AND 7, detail->'budget'",
		"event = 'over_budget' AND pool = 'app'"
	),
	't|4',
	'how much it was over'
);
is(
	events(
		$node,
		"(detail->>'connections')::int BETWEEN 2 AND 4, detail->'budget'",
		"event = 'back_in_budget' AND pool = 'app'"
	),
	't|4',
	'and how much it has when it is back'
);
is(
	events(
		$node,
		"(detail->>'busy')::int BETWEEN 0 AND 3, detail->'ceiling'",
		"event = 'no_longer_exhausted' AND pool = 'app'"
	),
	't|4',
	'how many were busy when it was no longer exhausted'
);
$app->close;

#
# retired and declined: by hand, one event for a session, and one for each pool
# for retired ones that are more than 20
#
my $pinned = "application_name LIKE 'many%'";
my $many   = holder($node, 'many', sessions => 25);
$many->do("sql $_ CREATE TEMP TABLE t (i int)") foreach 22 .. 24;
$many->do(q{sql 24 SET application_name = 'many "\\'});
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'many'", '25 stale', '25');
query($node,
	"CREATE TABLE sessions AS SELECT pid, backend_start, application_name FROM pg_stat_activity WHERE $pinned"
);
my $asked = "pool = 'many' AND event IN ('retired', 'declined')";
is(
	query(
		$node,
		"SELECT action, count(*) FROM pool_monitor.recycle('many', dry_run => false) GROUP BY 1 ORDER BY 1"
	),
	"declined|3\nretired|22",
	'22 retired, three pinned'
);
is(
	query(
		$node, "SELECT event, pid IS NULL, count(*), sum((detail->>'further_sessions')::int)
		FROM pool_monitor.events WHERE $asked GROUP BY 1, 2 ORDER BY 1, 2"
	),
	"declined|f|3|\nretired|f|20|\nretired|t|1|2",
	'one event for each that declined, twenty for retired ones, and one for two more'
);
my $right = "e.pool = 'many' AND e.application_name IS NULL
	AND (e.detail->>'backend_start')::timestamptz = s.backend_start
	AND e.detail->>'application_name' = s.application_name
	AND abs(extract(epoch FROM e.at - s.backend_start) - (e.detail->>'age')::numeric) < 1
	AND (e.detail->>'age')::numeric > 1
	AND (e.detail->>'idle')::numeric BETWEEN 0 AND (e.detail->>'age')::numeric";
is(
	query(
		$node,
		"SELECT count(*), count(DISTINCT e.pid) FROM pool_monitor.events e JOIN sessions s USING (pid)
		WHERE e.event = 'retired' AND $right AND e.detail->>'by' = 'recycle()' AND NOT e.detail ? 'reason'"
	),
	'20|20',
	'each says which session, how old and how long idle, and who asked'
);
is(
	events($node, "detail", "$asked AND pid IS NULL"),
	q({"by": "recycle()", "further_sessions": 2}),
	'so does the summary'
);

# Three that are pinned, the name of one needs quoting: by hand each call says so
my $was_last = query($node, 'SELECT max(seq) FROM pool_monitor.events');
my $declined = "event = 'declined' AND pool = 'many' AND seq > $was_last";
wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = 'many'", 'three stale', '3');
query($node,
	"DELETE FROM sessions; INSERT INTO sessions SELECT pid, backend_start, application_name FROM pg_stat_activity WHERE $pinned"
);
query($node, "SELECT count(*) FROM pool_monitor.recycle('many', dry_run => false)");
is(
	query(
		$node,
		"SELECT count(*), count(DISTINCT e.pid) FROM pool_monitor.events e JOIN sessions s USING (pid)
		WHERE e.event = 'declined' AND e.seq > $was_last AND $right AND e.detail->>'by' = 'recycle()' AND e.detail->>'reason' = 'temporary schema'"
	),
	'3|3',
	'those that declined say why'
);
is(
	events(
		$node, q(detail->>'application_name'),
		"$declined AND detail->>'application_name' <> 'many'"
	),
	q(many "\\),
	'an application_name that needs quoting'
);

# on schedule: said once, though asked again and again
my $answers = "SELECT declined FROM pool_monitor.pool_stats WHERE pool = 'many'";
my $before  = query($node, $answers);
is($before, '6', 'six times somebody declined');
$node->append_conf('postgresql.conf', "pool_monitor.recycle_interval = 100ms\n");
$node->reload;
declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'many'");
wait_for_events($node, "$declined AND detail->>'by' = 'schedule'",
	3, 'the schedule asks, and is told no');
wait_for($node, "SELECT ($answers) >= $before + 15", 'it asks again and again');
my $more = holder($node, 'many');
my $pid  = $more->do('pid 0');
wait_for_events($node,
	"event = 'retired' AND pool = 'many' AND detail->>'by' = 'schedule' AND pid = $pid",
	1, 'a session that the schedule retires is an event');
$before = query($node, $answers);
wait_for($node, "SELECT ($answers) >= $before + 15", 'and it goes on');
is(number_of($node, "$declined AND detail->>'by' = 'schedule'"),
	'3', 'but the same answer is recorded once');
declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'many'");
$_->close foreach ($many, $more);

#
# the storms have been noticed by now or soon
#
wait_for_events($node, "event = 'storm' AND pool = 'storm' AND application_name IS NULL",
	1, 'a storm in a declared pool');
wait_for_events($node, "event = 'storm' AND pool IS NULL AND application_name = 'stampede'",
	1, 'a storm of an application that is not declared');
foreach my $name ('storm', 'stampede')
{
	$storm{$name}->kill_kill;
}

# this test's own psql runs often enough to be a storm, too
my $other_client = "application_name IS DISTINCT FROM '014_events.pl'";
my $connects =
  "(SELECT s.connects FROM pool_monitor.pool_stats s WHERE coalesce(s.pool, s.application_name) = coalesce(e.pool, e.application_name))";
is(
	query(
		$node,
		"SELECT coalesce(e.pool, e.application_name), (e.detail->>'connects_per_second')::numeric * 10 > 20,
			(e.detail->>'connects')::numeric <= $connects, coalesce((e.detail->>'normal')::numeric, 0) < (e.detail->>'connects_per_second')::numeric / 5
		FROM pool_monitor.events e WHERE event = 'storm' AND $other_client ORDER BY 1"
	),
	"stampede|t|t|t\nstorm|t|t|t",
	'no storm where an application opened all it may have, once; the others with their figures'
);

#
# echo_pool: a line for each begin, and one for each kind of end
#
foreach my $name ('echo', 'silent')
{
	my $n     = 0;
	my $ended = sub {
		my ($how) = @_;
		$n++;
		wait_for(
			$node,
			"SELECT disconnects FROM pool_monitor.pool_stats WHERE pool = '$name'",
			"$name: session $n has ended", $n
		);
		return unless $name eq 'echo';
		return wait_for_log(
			$node,
			qr/LOG:  pool "echo": session ended: $how, after \d+\.\d{3} s and \d+ transactions\n/,
			"logged as ended $how"
		);
	};
	my $client;

	is(psql_as($node, $name, 'SELECT 1', 'SELECT 2'), '', "$name: a session of two transactions");
	$ended->('by the client');
	$client = holder($node, $name);
	kill 'KILL', $client->{pid};
	$client->close;
	$ended->('abandoned by the client');
	$client = holder($node, $name);
	$client->do('sql 0 SET idle_session_timeout = 1');
	$ended->('by an error');
	$client->close;
	$client = holder($node, $name);
	query($node, 'SELECT pg_terminate_backend(' . $client->do('pid 0') . ')');
	$ended->('terminated');
	$client->close;
	$client = holder($node, $name);
	wait_for($node, "SELECT stale FROM pool_monitor.budgets WHERE pool = '$name'",
		"$name: stale", '1');
	is(query($node, "SELECT action FROM pool_monitor.recycle('$name', dry_run => false)"),
		'retired', "$name: retired");
	$ended->('retired');
	$client->close;
	wait_for(
		$node,
		"SELECT connects, disconnects, ended_client, ended_abandoned, ended_fatal, ended_killed, retired FROM pool_monitor.pool_stats WHERE pool = '$name'",
		"$name: five sessions, each with another end",
		'5|5|1|1|1|1|1'
	);
}
is(
	log_count(
		$node,
		'LOG:  pool "echo": session began: application "echo", database "postgres", role "client"\n'
	),
	5,
	'five sessions began, by the log'
);
is(
	log_count(
		$node,
		'LOG:  pool "echo": session ended: by the client, after \d+\.\d{3} s and 2 transactions\n'
	),
	1,
	'the first had two transactions'
);
is(log_count($node, 'session began'), 5, 'none of another pool, and no storm');
is(log_count($node, 'session ended'), 5, 'nor of their ends');

#
# applications that are not declared, and those that are counted together
#
query($node, "SELECT pool_monitor.reset('crowd'), pool_monitor.reset('app')");
is(
	events($node, 'pool, application_name, pid > 0', "event = 'statistics_reset'"),
	"|crowd|t\napp||t",
	'a discovered application has its name and no pool, a declared pool the other way round'
);
query($node, "SELECT pool_monitor.reset('(other)')");
is(
	events(
		$node,
		'pool, application_name',
		"event = 'statistics_reset' AND '(other)' IN (pool, application_name)"
	),
	'(other)|',
	'(other) is no application: it is in the column pool'
);
$_->close foreach ($burst, $crowd);

#
# The server that was full: the whole of each burst of refusals
#
wait_for_events($full, "event = 'refused_over'", 2, 'both bursts of refusals are over');
is(
	query(
		$full,
		"SELECT pool, application_name, detail->>'refused', (detail->>'seconds')::numeric BETWEEN 0 AND 60 FROM pool_monitor.events WHERE event = 'refused_over' ORDER BY pool"
	),
	"tight||5|t\n|wanderer|3|t",
	'with all that were refused, each under its own'
);
is(number_of($full, "event = 'refused'"), '2', 'a burst is told of once');
is(
	query(
		$full,
		"SELECT bool_and(o.at - r.at >= interval '9.9 s') FROM pool_monitor.events r JOIN pool_monitor.events o ON (coalesce(o.pool, o.application_name) = coalesce(r.pool, r.application_name)) WHERE r.event = 'refused' AND o.event = 'refused_over'"
	),
	't',
	'not before ten seconds without one'
);
$slots->do('close 6');
my @guests = map { holder($full, "guest $_") } 1 .. 2;
is(
	query(
		$full,
		"SELECT string_agg(application_name, ', ' ORDER BY application_name) FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL"
	),
	'014_events.pl, guest 1, guest 2, wanderer',
	'all places for applications are taken'
);

# forgets the only one that has no sessions; ten seconds later its place is free
query($full, 'SELECT pool_monitor.reset()');

#
# NOTIFY: a psql that listens
#
my $notifier = 'pool_monitor errand: telling those who LISTEN';
my $listened = 0;

sub listener
{
	my ($db) = @_;
	my $self = {in => '', out => '', db => $db};
	$self->{run} = IPC::Run::start(['psql', '-XAtq', '-d', $node->connstr($db)],
		'<', \$self->{in}, '>', \$self->{out});
	say_to($self, 'LISTEN pool_monitor');
	return $self;
}

# Runs a statement and waits until it has run; what has come in by then is read.
sub say_to
{
	my ($self, $statement) = @_;
	my $mark = 'mark ' . ++$listened . ' end';
	my $end  = time + $timeout;

	$self->{in} .= "$statement;\nSELECT '$mark';\n";
	until ($self->{out} =~ /$mark/)
	{
		die "no answer from psql\n" if time > $end;
		$self->{run}->pump_nb;
		select(undef, undef, undef, 0.01);
	}
	return;
}

sub payloads
{
	my ($self) = @_;
	my @payloads = $self->{out} =~
	  /^Asynchronous notification "pool_monitor" with payload "(.*)" received from server/mg;
	return @payloads;
}

# Waits until the listener has been told what the pattern matches.
sub wait_to_hear
{
	my ($self, $pattern, $what) = @_;
	my $end = time + $timeout;
	until (grep { /$pattern/ } payloads($self))
	{
		return fail($what) if time > $end;
		select(undef, undef, undef, 0.1);
		say_to($self, 'SELECT 1');
	}
	return pass($what);
}

# The pool with the quoted name gets over its budget, and back: when the second
# event is there, the worker has dealt with the first.
my $in_quoted = "pool = '$quoted_sql'";

sub over_and_back
{
	my ($n) = @_;
	my $client = holder($node, 'quoted', sessions => 2);
	wait_for_events($node, "$in_quoted AND event = 'over_budget'", $n, "over its budget, $n");
	$client->close;
	wait_for_events($node, "$in_quoted AND event = 'back_in_budget'", $n, "and back, $n");
	return;
}

over_and_back(1);
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
my $elsewhere = listener('elsewhere');
over_and_back(2);
cmp_ok(log_count($node, 'pool_monitor errand: loading'), '>', 0, 'the log shows errands');
is(log_count($node, $notifier),
	0, 'none to NOTIFY while nobody listens in the database of the declarations');

my $listener = listener('postgres');
my $first    = query($node, 'SELECT max(seq) + 1 FROM pool_monitor.events');
over_and_back(3);
query($node, "SELECT pool_monitor.reset('crowd')");
wait_to_hear($listener, 'statistics_reset', 'a listener is told');
my $last =
  query($node, "SELECT max(seq) FROM pool_monitor.events WHERE event = 'statistics_reset'");
my %heard;
my $invalid = 0;
my $repeat  = 0;

foreach my $payload (payloads($listener))
{
	my $event = eval { decode_json($payload) };
	$invalid++ unless $event;
	next       unless $event;
	$repeat++ if $heard{$event->{seq}};
	$heard{$event->{seq}} = $event;
}
is($invalid, 0, 'every notification is valid JSON');
is($repeat,  0, 'none comes twice');
my $told = 0;
foreach my $seq ($first .. $last)
{
	my $row      = decode_json(events($node, 'row_to_json(events)', "seq = $seq"));
	my $at       = $heard{$seq} ? $heard{$seq}{at} : 'never';
	my %expected = (
		seq   => $row->{seq},
		event => $row->{event},
		pool  => $row->{pool}
	);
	$expected{at} = $at;

	# what the detail says of single sessions is for those who may read the view
	$expected{detail}           = $row->{detail} unless $row->{event} =~ /^(retired|declined)$/;
	$expected{application_name} = $row->{application_name} if defined $row->{application_name};
	is_deeply($heard{$seq}, \%expected, "event $seq, $row->{event}: as it is in the view");
	is(events($node, "at = '$at'", "seq = $seq"), 't', "event $seq: the same moment")
	  if $heard{$seq};
	$told++ if $heard{$seq} && defined $row->{pool} && $row->{pool} eq $quoted;
}
is($told,                                    2, 'among them two of the pool with the quoted name');
is(scalar(grep { $_ < $first } keys %heard), 0, 'nothing of what happened before');
cmp_ok(log_count($node, $notifier), '>', 0, 'now there have been some to NOTIFY');

# Off. The worker has taken a setting when it has loaded the declarations again,
# which it does after every reload.
sub set_notify
{
	my ($value) = @_;
	my $offset = -s $node->logfile;
	$node->append_conf('postgresql.conf', "pool_monitor.notify_events = $value\n");
	$node->reload;
	return wait_for_log($node, qr/pool_monitor errand: loading/,
		"notify_events is $value", $offset);
}
set_notify('off');
$first = query($node, 'SELECT max(seq) + 1 FROM pool_monitor.events');
over_and_back(4);
$last = query($node, "SELECT max(seq) FROM pool_monitor.events WHERE event = 'over_budget'");
set_notify('on');
over_and_back(5);
my $next = query($node,
	"SELECT max(seq) FROM pool_monitor.events WHERE event = 'over_budget' AND seq > $last");
cmp_ok($last, '>=', $first, 'something happened while it was off');
wait_to_hear($listener, "\"seq\": $next,", 'on again, and told again');
is(scalar(grep { /"seq": $last,/ } payloads($listener)),
	0, 'notify_events off: nothing is delivered, not later either');

# who has gone does not listen any more
say_to($elsewhere, 'SELECT 1');
is(join('', payloads($elsewhere)), '', 'a listener in another database is told nothing');
$_->{in} .= "\\q\n" foreach ($listener, $elsewhere);
$_->{run}->finish foreach ($listener, $elsewhere);
wait_for(
	$node,
	"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT ''mark%'",
	'nobody listens', '0'
);
my $offset = -s $node->logfile;
over_and_back(6);
is(log_count($node, $notifier, $offset), 0, 'and none for nobody');

#
# The storms are over; nothing else was one, but perhaps this test itself.
#
wait_for_events($node, "event = 'storm_over' AND $other_client", 2, 'the storms are over');
is(
	query(
		$node, "SELECT coalesce(e.pool, e.application_name),
			(e.detail->>'connects')::numeric >= (SELECT (b.detail->>'connects')::numeric FROM pool_monitor.events b WHERE b.event = 'storm' AND coalesce(b.pool, b.application_name) = coalesce(e.pool, e.application_name)),
			(e.detail->>'connects')::numeric <= $connects,
			(e.detail->>'seconds')::numeric BETWEEN 1 AND extract(epoch FROM clock_timestamp() - (SELECT min(at) FROM pool_monitor.events))
		FROM pool_monitor.events e WHERE event = 'storm_over' AND $other_client ORDER BY 1"
	),
	"stampede|t|t|t\nstorm|t|t|t",
	'how many connects they were, in how long'
);
is(number_of($node, "event = 'storm' AND $other_client"), '2', 'each storm was told of once');

#
# An application that was forgotten, and comes back to its former place, begins
# at 0: neither a burst nor a storm is made of the difference.
#
my $back = "SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'wanderer'";
my $end  = time + $timeout;
while (query($full, $back) == 0 && time < $end)
{
	psql_as($full, 'wanderer', 'SELECT 1');
	select(undef, undef, undef, 0.1);
}
is(query($full, $back), '1', 'the application has a place of its own again');
my $probe = holder($full, 'probe', sessions => 2);
wait_for_events($full, "event = 'over_budget' AND pool = 'probe'", 1, 'the worker has looked');
$probe->close;
wait_for_events($full, "event = 'back_in_budget' AND pool = 'probe'", 1, 'and once more');
is(
	events(
		$full,
		'event, detail',
		"application_name = 'wanderer' AND event IN ('refused', 'storm') AND seq > (SELECT max(seq) FROM pool_monitor.events WHERE event = 'statistics_reset')"
	),
	'',
	'nobody was refused meanwhile, and no event says so'
);

#
# A ring that is smaller than what happens: of the pool that has the most the
# oldest go, and nobody else's. (Anybody may have added one of another pool
# meanwhile, but for the last four.)
#
query($full, "SELECT pool_monitor.reset('tight') FROM generate_series(1, 25)");
is(number_of($full, 'true'), '10', 'of 25 events and those before them the ring has ten');
is(
	query(
		$full,
		"SELECT count(*) > 2, count(*) = count(DISTINCT seq), max(seq) - min(seq) = count(*) - 1, bool_and(event = 'statistics_reset') FROM pool_monitor.events WHERE pool = 'tight'"
	),
	't|t|t|t',
	'of the pool that has the most the newest, each once'
);
cmp_ok(number_of($full, "pool = 'probe'"), '>=', 2, 'those of the other pool are all there');
my $room = number_of($full, "pool = 'tight'");
$last = query($full, "SELECT max(seq) FROM pool_monitor.events");
query($full, "SELECT pool_monitor.reset('tight') FROM generate_series(1, 3)");
is(
	query(
		$full,
		"SELECT string_agg((seq - $last)::text, ' ' ORDER BY seq) FROM pool_monitor.events WHERE pool = 'tight'"
	),
	join(' ', 4 - $room .. 3),
	'three more of it, and its three oldest are gone'
);

# the numbers go on after a restart
$_->close foreach ($slots, @guests);
$full->restart;
wait_for_events($full, "event = 'started' AND seq > $last + 3",
	1, 'after a restart the numbers go on');
is(log_count($_, 'PANIC|TRAP'), 0, 'no PANIC') foreach ($node, $full);
$_->stop                                       foreach ($node, $full);
done_testing();
