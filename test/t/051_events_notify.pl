# Events by NOTIFY: whoever listens is told of each, once and as it is in the view but for
# what is not for everybody, and where nobody listens nothing is sent. Needs sessions that
# stay and listen.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use JSON::PP;
use PoolMonitor;
use PoolMonitorEvents;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = $PostgreSQL::Test::Utils::timeout_default;
my $node    = events_server('notify');
holder($node, 'crowd', sessions => 2)->close;

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

my ($elsewhere, $listener);
subtest 'nobody listens where the declarations are' => sub {
	over_and_back(1);
	$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
	$elsewhere = listener('elsewhere');
	over_and_back(2);
	cmp_ok(log_count($node, 'pool_monitor errand: loading'), '>', 0, 'the log shows errands');
	is(log_count($node, $notifier),
		0, 'none to NOTIFY while nobody listens in the database of the declarations');
};

subtest 'a listener is told' => sub {
	$listener = listener('postgres');
	my $first = query($node, 'SELECT max(seq) + 1 FROM pool_monitor.events');
	over_and_back(3);
	foreach my $name (('storm', 'wanderer') x 5)
	{
		run_command(
			[
				'psql', '-XAt', '-d',
				$node->connstr('nowhere') . " user=client application_name=$name"
			]
		);
	}
	wait_for_events($node, "event = 'rejected' AND detail ? 'client_addr'", 2, 'logins that fail');
	wait_for_events($node, "event = 'rejected_over' AND application_name = 'wanderer'",
		1, 'and that have failed');
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

		# what the detail says of single sessions, logins and undeclared applications is for
		# those who may read the view, and so is who these are
		$expected{detail} = $row->{detail}
		  unless $row->{event} =~ /^(retired|declined|rejected)$/
		  || defined $row->{application_name};
		is_deeply($heard{$seq}, \%expected, "event $seq, $row->{event}: as it is in the view");
		is(events($node, "at = '$at'", "seq = $seq"), 't', "event $seq: the same moment")
		  if $heard{$seq};
		$told++ if $heard{$seq} && defined $row->{pool} && $row->{pool} eq $quoted;
	}
	is(scalar(grep { /wanderer|crowd/ } payloads($listener)),
		0, 'of an undeclared application not even its name');
	is($told, 2, 'among them two of the pool with the quoted name');
	is(scalar(grep { $_ < $first } keys %heard), 0, 'nothing of what happened before');
	cmp_ok(log_count($node, $notifier), '>', 0, 'now there have been some to NOTIFY');
};

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

subtest 'notify_events' => sub {
	set_notify('off');
	my $first = query($node, 'SELECT max(seq) + 1 FROM pool_monitor.events');
	over_and_back(4);
	my $last = query($node, "SELECT max(seq) FROM pool_monitor.events WHERE event = 'over_budget'");
	set_notify('on');
	over_and_back(5);
	my $next = query($node,
		"SELECT max(seq) FROM pool_monitor.events WHERE event = 'over_budget' AND seq > $last");
	cmp_ok($last, '>=', $first, 'something happened while it was off');
	wait_to_hear($listener, "\"seq\": $next,", 'on again, and told again');
	is(scalar(grep { /"seq": $last,/ } payloads($listener)),
		0, 'notify_events off: nothing is delivered, not later either');
};

subtest 'who has gone does not listen any more' => sub {
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
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
