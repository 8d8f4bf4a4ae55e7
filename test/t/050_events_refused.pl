# Refusals as events, each under who tried: the first of a burst at once, the whole when
# ten seconds have passed; and a ring of events that is smaller than what happens. Needs
# a server that is full, and whose places for applications are taken.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PoolMonitorEvents;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = $PostgreSQL::Test::Utils::timeout_default;

# Nine slots for ordinary roles, room for 20 events and four applications.
my $full = new_server('full',
	"max_connections = 12\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\npool_monitor.max_events = 20\npool_monitor.max_applications = 4\n"
);
query($full, 'CREATE ROLE client LOGIN');
declare($full,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow) VALUES ('tight', 'tight', 9, 0), ('probe', 'probe', 1, 0)"
);

my $slots = holder($full, 'tight', sessions => 9);

subtest 'the first refusal of a burst' => sub {
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
};

subtest 'the whole of each burst' => sub {
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
};

my @guests;
subtest 'all places for applications are taken' => sub {
	$slots->do('close 6');
	@guests = map { holder($full, "guest $_") } 1 .. 2;
	is(
		query(
			$full,
			"SELECT string_agg(application_name, ', ' ORDER BY application_name) FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL"
		),
		"$ENV{PGAPPNAME}, guest 1, guest 2, wanderer",
		'all places for applications are taken'
	);
};

# It begins at 0: neither a burst nor a storm is made of the difference.
subtest 'an application that was forgotten comes back to its former place' => sub {

	# It forgets the only one that has no sessions; ten seconds later its place is free.
	# Who asks is seldom enough to be no storm.
	query($full, 'SELECT pool_monitor.reset()');

	my $back = "SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name = 'wanderer'";
	my $end  = time + $timeout;
	while (query($full, $back) == 0 && time < $end)
	{
		psql_as($full, 'wanderer', 'SELECT 1');
		select(undef, undef, undef, 0.4);
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
};

my $last;

# A ring that is smaller than what happens: of the pool and kind that have the most
# the oldest go, and nothing else. (Anybody may have added one of another pool
# meanwhile, but for the last four.)
subtest 'a ring that is smaller than what happens' => sub {
	my $resets = "pool = 'tight' AND event = 'statistics_reset'";
	query($full, "SELECT pool_monitor.reset('tight') FROM generate_series(1, 25)");
	is(number_of($full, 'true'), '20', 'of 25 events and those before them the ring has 20');
	is(
		query(
			$full,
			"SELECT count(*) > 2, count(*) = count(DISTINCT seq), max(seq) - min(seq) = count(*) - 1 FROM pool_monitor.events WHERE $resets"
		),
		't|t|t',
		'of those that are the most the newest, each once'
	);
	cmp_ok(number_of($full, "pool = 'probe'"), '>=', 2, 'those of the other pool are all there');
	is(number_of($full, "pool = 'tight' AND event = 'refused'"), '1',
		'nor have they taken its own');
	my $room = number_of($full, $resets);
	$last = query($full, "SELECT max(seq) FROM pool_monitor.events");
	query($full, "SELECT pool_monitor.reset('tight') FROM generate_series(1, 3)");
	is(
		query(
			$full,
			"SELECT string_agg((seq - $last)::text, ' ' ORDER BY seq) FROM pool_monitor.events WHERE $resets"
		),
		join(' ', 4 - $room .. 3),
		'three more of it, and its three oldest are gone'
	);
};

subtest 'the numbers go on after a restart' => sub {
	$_->close foreach ($slots, @guests);
	$full->restart;
	wait_for_events($full, "event = 'started' AND seq > $last + 3",
		1, 'after a restart the numbers go on');
};

is(log_count($full, 'PANIC|TRAP'), 0, 'no PANIC');
done_testing();
