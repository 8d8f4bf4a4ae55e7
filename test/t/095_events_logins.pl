# Whoever can reach the port can have events of every pool, by logins that fail: these get
# a third of the ring at most, whatever comes, and the rest is for what needs a session.
# Needs a past that is forged in the file of statistics, and real logins, which a server
# refuses.
use strict;
use warnings FATAL => 'all';
use IO::Socket::UNIX;
use PoolMonitor qw(:DEFAULT query insert_pool);
use PoolMonitorStatfile;
use PostgreSQL::Test::Utils;
use Test::More;

my $room  = 60;
my $third = 20;
my @pools = map { "p$_" } 1 .. 20;
my @kinds =
  qw(starved no_longer_starved refused refused_over auth_failures auth_failures_over rejected rejected_over);

my $node = new_server('logins', "pool_monitor.max_events = $room\n");
declare($node, join '', map { insert_pool($_) } 'app', @pools);
my $hba = $node->data_dir . '/pg_hba.conf';
put_contents($hba, "local all nobody reject\n" . slurp_file($hba));

# A start after which these have happened, each [pool, kind], numbered from 1 on.
sub start_with
{
	my (@events) = @_;
	my $seq = 0;
	$node->stop;
	my $file = parsed(contents(file_of($node)));
	$file->{header}  = with_field($file->{header}, 'last_event', scalar @events);
	$file->{records} = [
		(grep { $_->{layout} ne 'event' } @{$file->{records}}),
		{
			layout => 'event',
			rows   => [
				map {
					{
						seq    => ++$seq,
						at     => 1,
						kind   => $_->[1],
						times  => 1,
						name   => $_->[0],
						detail => '{}'
					}
				} @events
			]
		}
	];
	put_contents(file_of($node), built($file));
	$node->start;
	wait_for(
		$node,
		"SELECT max(seq) > $seq FROM pool_monitor.events",
		'the past has been read, and the start is an event'
	);
	return;
}

sub number_of
{
	my ($where) = @_;
	return query($node, "SELECT count(*) FROM pool_monitor.events WHERE $where");
}

my $of_logins = 'event IN (' . join(', ', map { "'$_'" } @kinds) . ')';
my $full = "SELECT count(*) = $room, count(*) FILTER (WHERE $of_logins) FROM pool_monitor.events";

subtest 'each kind, of every pool' => sub {
	foreach my $kind (@kinds)
	{
		start_with((['app', 'retired']) x $room, map { [$_, $kind] } @pools, 'app');
		is(query($node, $full), "t|$third", "$kind: a third of the ring");
	}
	start_with(
		(['app', 'retired']) x $room,
		map {
			my $kind = $_;
			map { [$_, $kind] } @pools
		} @kinds
	);
	is(query($node, $full), "t|$third", 'all together: a third of the ring');
};

# There was room when they came.
subtest 'what comes is of another kind' => sub {
	start_with((map { [$_, 'rejected'], [$_, 'refused'] } @pools), (['app', 'retired']) x 30);
	is(number_of("event = 'retired'"),
		'30', 'they give way to it while they have more than a third');
	cmp_ok(number_of($of_logins), '>=', $third, 'and keep what is left');
	start_with((map { [$_, 'rejected'], [$_, 'refused'] } @pools), (['app', 'retired']) x $room);
	is(query($node, $full), "t|$third", 'which is a third');
};

subtest 'while they have less than a third' => sub {
	start_with((['app', 'retired']) x $room, map { [$_, 'rejected'] } @pools[0 .. 4]);
	is(query($node, $full), 't|5', 'they take from who has more');
	my @singly = map { [$_, 'storm'], [$_, 'over_budget'] } @pools;
	start_with((['p1', 'rejected']) x 18, @singly, (map { [$_, 'exhausted'] } @pools[0 .. 9]));
	is(number_of("event IN ('storm', 'over_budget', 'exhausted')"),
		50, 'and give to who has less, as all do');
};

subtest 'among themselves' => sub {
	start_with((['app', 'retired']) x $room, (['p1', 'rejected']) x 2, (['p2', 'rejected']) x 50);
	is(number_of("event = 'rejected' AND pool = 'p1'"), '2', 'who has little keeps it');
	is(
		query(
			$node,
			"SELECT count(*), min(seq) FROM pool_monitor.events WHERE event = 'rejected' AND pool = 'p2'"
		),
		'18|95',
		'who has most loses the oldest'
	);
};

# A login that fails before there is a session.
sub fail_to_log_in
{
	my ($name) = @_;
	my $packet =
	  pack('N', 196_608) . join("\0", 'user', 'nobody', 'application_name', $name) . "\0\0";
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port)
	  or die "no connection: $!\n";
	$socket->syswrite(pack('N', 4 + length $packet) . $packet);
	local $/;
	my $answer = <$socket>;
	die "not refused so: $answer\n" if $answer !~ /^E.*\0C28000\0/s;
	return;
}

subtest 'real logins, under the names of all pools' => sub {
	start_with((['app', 'retired']) x $room);
	foreach my $pool (@pools)
	{
		fail_to_log_in($pool) foreach 1 .. 5;
	}
	wait_for(
		$node,
		"SELECT count(*) FROM pool_monitor.events WHERE event = 'auth_failures_over' AND pool = 'p20'",
		'the last burst is over',
		'1'
	);
	is(query($node, $full), "t|$third", 'a third of the ring');
	cmp_ok(number_of("event = 'retired'"), '>', $third, 'what was before is there');
};

is(log_count($node, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
