# The counters of pool_stats: every login, end and move in its own column, under
# the right name, and in no other. Needs logins that fail, clients that vanish,
# and a server that is full.
use strict;
use warnings FATAL => 'all';
use PoolMonitor;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('accounts', <<EOC);
listen_addresses = '127.0.0.1'
max_connections = 20
superuser_reserved_connections = 3
max_wal_senders = 0
pool_monitor.recycle_interval = 1h
EOC
my $data = $node->data_dir;
make_certificate($node);
my $rest = slurp_file("$data/pg_hba.conf");
open my $hba, '>', "$data/pg_hba.conf" or die;
print $hba "local all scram scram-sha-256\nlocal all unwanted reject\n";
print $hba "hostssl all plain 127.0.0.1/32 reject\n";
print $hba "host all all 127.0.0.1/32 trust\n$rest";
close $hba;
$node->restart;
$node->safe_psql('postgres', <<EOS);
CREATE ROLE app LOGIN;
CREATE ROLE scram LOGIN PASSWORD 'right';
CREATE ROLE unwanted LOGIN;
CREATE ROLE plain LOGIN;
CREATE ROLE limited LOGIN CONNECTION LIMIT 0;
CREATE ROLE nologin;
CREATE DATABASE closed;
REVOKE CONNECT ON DATABASE closed FROM PUBLIC;
CREATE DATABASE small CONNECTION LIMIT 0;
EOS
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_recycle, recycle_grace) VALUES ('web', 'web%', '1 s', '0'), ('by role', '%', '1 h', '0')"
);
$node->safe_psql('postgres',
	"UPDATE pool_monitor.pools SET usename = 'scram', priority = 1 WHERE name = 'by role'");
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');

my @counters =
  qw(connects disconnects taken_over given_over ended_client ended_abandoned ended_fatal ended_killed
  retired ended_lost declined rejected refused auth_failures);

# The counters of all rows that are not 0, as { 'web' => { connects => 1 } }.
sub stats
{
	my %all;
	my $rows = $node->safe_psql('postgres',
			"SELECT coalesce(pool, application_name), "
		  . join(', ', @counters)
		  . ' FROM pool_monitor.pool_stats');
	foreach my $row (split /\n/, $rows)
	{
		my ($name, @values) = split /\|/, $row, -1;
		$all{$name} = {map { $counters[$_] => $values[$_] } grep { $values[$_] } 0 .. $#values};
	}
	return \%all;
}

# What has changed in every row but that of the test's own psql.
sub changes
{
	my ($before, $after) = @_;
	my %changes;
	foreach my $name (grep { $_ ne '013_accounts.pl' && $_ ne 'psql' } keys %$after)
	{
		foreach my $counter (keys %{$after->{$name}})
		{
			my $n = $after->{$name}{$counter} - ($before->{$name}{$counter} // 0);
			$changes{$name}{$counter} = $n if $n;
		}
	}
	return \%changes;
}

# Runs the code, waits until the sessions it names by application have gone, and
# compares what changed.
sub check
{
	my ($what, $code, $expected) = @_;
	my $before = stats();
	$code->();
	my $after;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$after = stats();
		last if eq_hash(changes($before, $after), $expected);
		select(undef, undef, undef, 0.1);
	}
	is_deeply(changes($before, $after), $expected, $what);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT count(*) FROM pool_monitor.pool_stats WHERE connects - disconnects <> connections
			OR disconnects <> ended_client + ended_abandoned + ended_fatal + ended_killed + retired + ended_lost + given_over"
		),
		'0',
		"$what: it adds up"
	);
	return;
}

sub login
{
	my ($options, $sql) = @_;
	my $dsn = 'port=' . $node->port . " dbname=postgres user=app application_name=web $options";
	$dsn = 'host=' . $node->host . " $dsn" unless $options =~ /host=/;
	my ($out, $err) = run_command(['psql', '-X', '-w', '-d', $dsn, '-c', $sql // 'SELECT 1']);
	return $err;
}

# ---- logins ----
check(
	'a session',
	sub { is(login(''), '', 'it works') },
	{web => {connects => 1, disconnects => 1, ended_client => 1}}
);
check(
	'a missing database',
	sub { like(login('dbname=nowhere'), qr/does not exist/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'a missing role',
	sub { like(login('user=nobody'), qr/does not exist/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'a role without LOGIN',
	sub { like(login('user=nologin'), qr/not permitted to log in/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'no CONNECT privilege',
	sub { like(login('dbname=closed'), qr/permission denied/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'a role over its limit',
	sub { like(login('user=limited'), qr/too many connections for role/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'a database over its limit',
	sub { like(login('dbname=small'), qr/too many connections for database/, 'refused') },
	{web => {rejected => 1}}
);
check(
	'a wrong password, in a pool that goes by role',
	sub { like(login('user=scram password=wrong'), qr/password authentication failed/, 'refused') },
	{'by role' => {auth_failures => 1}}
);
check(
	'the right one',
	sub { is(login('user=scram password=right'), '', 'it works') },
	{'by role' => {connects => 1, disconnects => 1, ended_client => 1}}
);
check('a client that goes away when it is asked for its password',
	sub { like(login('user=scram'), qr/no password supplied/, 'gone') }, {});
check(
	'a line in pg_hba.conf that rejects',
	sub { like(login('user=unwanted'), qr/pg_hba.conf rejects/, 'refused') },
	{web => {auth_failures => 1}}
);
check(
	'sslmode=prefer: one login with SSL',
	sub { is(login('host=127.0.0.1 sslmode=prefer'), '', 'it works') },
	{web => {connects => 1, disconnects => 1, ended_client => 1}}
);
check(
	'sslmode=prefer: rejected with SSL, tried again without',
	sub { is(login('host=127.0.0.1 sslmode=prefer user=plain'), '', 'it works') },
	{web => {auth_failures => 1, connects => 1, disconnects => 1, ended_client => 1}}
);
check(
	'a discovered application',
	sub { like(login('application_name=stray dbname=nowhere'), qr/does not exist/, 'refused') },
	{stray => {rejected => 1}}
);
check(
	'a longer name than the server keeps',
	sub {
		like(login('application_name=' . 'x' x 80), qr/^NOTICE: .* will be truncated/, 'it works');
	},
	{'x' x 63 => {connects => 1, disconnects => 1, ended_client => 1}}
);
check(
	'a name that is not ASCII',
	sub { is(login("application_name=caf\xc3\xa9"), '', 'it works') },
	{
		(
			$node->safe_psql('postgres', 'SHOW server_version_num') < 160000
			? 'caf??'
			: 'caf\xc3\xa9'
		) => {connects => 1, disconnects => 1, ended_client => 1}
	}
);
$node->safe_psql('postgres', "ALTER ROLE app SET application_name = 'web by role'");
check(
	'application_name by ALTER ROLE',
	sub { is(login('dbname=postgres'), '', 'it works') },
	{web => {connects => 1, disconnects => 1, ended_client => 1}}
);
$node->safe_psql('postgres', "ALTER ROLE app RESET application_name");

# a server that is full: with a PGPROC, then without, also for a superuser
my $hold =
  PoolMonitor::Holder->new($node, application_name => 'hold', user => 'app', sessions => 17);
check(
	'reserved slots',
	sub { like(login(''), qr/remaining connection slots are reserved/, 'refused') },
	{web => {refused => 1}}
);
my $boss = PoolMonitor::Holder->new($node, application_name => 'boss', sessions => 2);
my $full = PoolMonitor::Holder->new($node, application_name => 'full', sessions => 1);
like(login(''),                        qr/too many clients already/, 'no slot is left');
like(login('user=postgres'),           qr/too many clients already/, 'not for a superuser either');
like(login('application_name=stray2'), qr/too many clients already/, 'nor an unknown application');
is($full->do("sql 0 SELECT refused FROM pool_monitor.pool_stats WHERE pool = 'web'"),
	3, 'each is counted');
is(
	$full->do(
		"sql 0 SELECT refused || ' ' || connects || ' ' || rejected || ' ' || auth_failures FROM pool_monitor.pool_stats WHERE application_name = 'stray2'"
	),
	'1 0 0 0',
	'also for an application that was never seen before'
);
is($full->do('sql 0 SELECT refused FROM pool_monitor.server'), 4, 'and for the server');
$_->close foreach ($hold, $boss, $full);
wait_for($node, 'SELECT connections FROM pool_monitor.server', 'all are gone', 1);

# ---- ends ----
sub web { return PoolMonitor::Holder->new($node, application_name => 'web', user => 'app', @_) }

check(
	'pg_terminate_backend',
	sub {
		my $web = web();
		$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $web->do('pid 0') . ')');
	},
	{web => {connects => 1, disconnects => 1, ended_killed => 1}}
);
check(
	'a client that vanishes while idle',
	sub { my $web = web(); kill 'KILL', $web->{pid}; $web->close },
	{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
);
check(
	'a client that vanishes in a transaction',
	sub { my $web = web(); $web->do('sql 0 BEGIN'); kill 'KILL', $web->{pid}; $web->close },
	{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
);
check(
	'a client that vanishes during its statement',
	sub {
		my $web = web();
		$web->do("sql 0 SET client_connection_check_interval = '20ms'");
		my $pid = $web->do('pid 0');
		print {$web->{in}} "sql 0 SELECT pg_sleep(3600)\n";
		$web->{in}->flush;
		wait_for($node, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid",
			'under way');
		kill 'KILL', $web->{pid};
		$web->close;
	},
	{web => {connects => 1, disconnects => 1, ended_abandoned => 1}}
);
check(
	'a session that ends by FATAL',
	sub {
		my $web = web();
		$web->do("sql 0 SET idle_session_timeout = '10ms'");
		wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
			'gone', 0);
	},
	{web => {connects => 1, disconnects => 1, ended_fatal => 1}}
);
{
	my $web = web(sessions => 2);
	$web->do('sql 1 SELECT pg_advisory_lock(1)');
	my $before = stats()->{web};
	wait_for($node, 'SELECT count(*) FROM pool_monitor.sessions WHERE stale', 'stale', 2);
	is(
		$node->safe_psql(
			'postgres',
			"SELECT string_agg(action || coalesce(' ' || reason, ''), ', ' ORDER BY action) FROM pool_monitor.recycle(dry_run => false)"
		),
		'declined session-level lock, retired',
		'one is retired and one declines'
	);
	is_deeply(
		changes({web => $before}, {web => stats()->{web}}),
		{web => {disconnects => 1, retired => 1, declined => 1}},
		'each is counted as what it was'
	);
	$web->close;
}

# ---- who is where ----
wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'", 'no web', 0);
check(
	'a session that changes its name',
	sub {
		my $roaming = PoolMonitor::Holder->new($node, application_name => 'roaming', user => 'app');
		$roaming->do("sql 0 SET application_name = 'web 2'");
		wait_for(
			$node,
			"SELECT connections = 1 AND taken_over = 1 FROM pool_monitor.pool_stats WHERE pool = 'web'",
			'it moves'
		);
		$roaming->do("sql 0 SET application_name = 'elsewhere'");
		$roaming->close;
	},
	{
		roaming   => {connects   => 1, disconnects => 1, given_over  => 1},
		web       => {connects   => 1, taken_over  => 1, disconnects => 1, given_over   => 1},
		elsewhere => {taken_over => 1, connects    => 1, disconnects => 1, ended_client => 1}
	}
);
my $late =
  PoolMonitor::Holder->new($node, application_name => 'late', user => 'app', sessions => 5);
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name, priority) VALUES ('declared', 'late', 1)"
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT pool, connections, connects, disconnects, taken_over, given_over FROM pool_monitor.pool_stats
		WHERE pool = 'declared' OR application_name = 'late' ORDER BY pool"
	),
	"declared|5|5|0|5|0\n|0|5|5|0|5",
	'a pool that is declared later takes over those that are alive'
);
is(
	$node->safe_psql(
		'postgres', "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'declared'"
	),
	'5',
	'and has them in its peak'
);
$late->do('close 2');
wait_for(
	$node,
	"SELECT connections, connects, disconnects, ended_client FROM pool_monitor.pool_stats WHERE pool = 'declared'",
	'they end there',
	'3|5|2|2'
);

# reset() of one, with sessions
$node->safe_psql('postgres', "SELECT pool_monitor.reset('declared')");
is(
	$node->safe_psql(
		'postgres',
		"SELECT connections, connects, disconnects, taken_over, transactions, hold_max IS NULL, stats_reset > now() - interval '1 min' FROM pool_monitor.pool_stats WHERE pool = 'declared'"
	),
	'3|3|0|3|0|t|t',
	'after reset() the sessions that are there count as taken over'
);
is(
	$node->safe_psql(
		'postgres', "SELECT peak_connections FROM pool_monitor.budgets WHERE pool = 'declared'"
	),
	'3',
	'the peak begins anew too'
);
cmp_ok(stats()->{web}{connects}, '>', 5, 'others are left alone');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT pool_monitor.reset('nothing')");
like($err, qr/there is no pool or application "nothing" in pool_stats/, 'a name that is not there');

# declarations deleted and made again: the account is found again
$node->safe_psql('postgres',
	"BEGIN; DELETE FROM pool_monitor.pools; INSERT INTO pool_monitor.pools (name, application_name) VALUES ('web', 'web%'), ('declared', 'late'); COMMIT; SELECT pool_monitor.reload()"
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT connections, connects, taken_over FROM pool_monitor.pool_stats WHERE pool = 'declared'"
	),
	'3|3|3',
	'a pool declared again has its account'
);
$node->safe_psql('postgres', "DELETE FROM pool_monitor.pools WHERE name = 'declared'");
$node->safe_psql('postgres', 'SELECT pool_monitor.reload()');
is(
	$node->safe_psql(
		'postgres',
		"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'late'"
	),
	'3',
	'without it the sessions are with the application'
);
$late->close;

# ---- peaks between two samples ----
$node->append_conf('postgresql.conf', "pool_monitor.sample_interval = 1min\n");
$node->reload;
wait_for(
	$node,
	"SELECT setting = '60000' FROM pg_settings WHERE name = 'pool_monitor.sample_interval'",
	'slow sampling'
);
$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
my $burst = web(sessions => 7);
$burst->do('open 4');
$burst->close;
wait_for($node, "SELECT connections FROM pool_monitor.budgets WHERE pool = 'web'",
	'it was short', 0);
is(
	$node->safe_psql(
		'postgres',
		"SELECT peak_connections, peak_at BETWEEN now() - interval '1 min' AND now() FROM pool_monitor.budgets WHERE pool = 'web'"
	),
	'11|t',
	'a peak that no sample has seen'
);
is($node->safe_psql('postgres', 'SELECT peak_connections FROM pool_monitor.server'),
	'11', 'also the server\'s');
is(
	$node->safe_psql(
		'postgres',
		"SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name IN ('stray', 'roaming', 'late')"
	),
	'0',
	'reset() of everything forgets the applications that are gone'
);

# ---- a storm ----
must_run('pgbench', '-i', '-q', '-h', $node->host, '-p', $node->port, 'postgres');
$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
declare($node,
	"INSERT INTO pool_monitor.pools (name, application_name) VALUES ('bench', 'pgbench')");
{
	local $ENV{PGAPPNAME} = 'pgbench';
	($out, $err) = run_command(
		[
			'pgbench', '-n',        '-S', '-C', '-c', '10',
			'-j',      '2',         '-t', '50', '-h', $node->host,
			'-p',      $node->port, 'postgres'
		]
	);
}
like($out, qr{actually processed: 500/500}, 'pgbench -C -c 10');
wait_for(
	$node,
	"SELECT connections, connects, disconnects, ended_client FROM pool_monitor.pool_stats WHERE pool = 'bench'",
	'as many connects as transactions, and one of pgbench itself',
	'0|501|501|501'
);
cmp_ok(
	$node->safe_psql(
		'postgres', "SELECT transactions FROM pool_monitor.pool_stats WHERE pool = 'bench'"
	),
	'>=', 500,
	'and the transactions'
);
is(log_count($node, 'PANIC|TRAP|terminated by signal'), 0, 'nothing broke');
$node->stop;

# ---- more applications than there is room for ----
$node = new_server('many', "max_connections = 250\npool_monitor.max_applications = 100\n");
my $crowd = PoolMonitor::Holder->new($node, application_name => 'app 0', sessions => 200);
foreach my $i (0 .. 199)
{
	$crowd->do("sql $i SET application_name = 'app $i'");
}
is($node->safe_psql('postgres', 'SELECT sum(connections) FROM pool_monitor.pool_stats'),
	201, 'none of 200 sessions is lost');
is(
	$node->safe_psql(
		'postgres',
		'SELECT count(*) FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL'
	),
	100,
	'100 applications have a row'
);
is(
	$node->safe_psql(
		'postgres',
		"SELECT sum(connections) FILTER (WHERE pool = '(other)') + count(*) FILTER (WHERE application_name LIKE 'app %') + count(*) FILTER (WHERE application_name = current_setting('application_name')) FROM pool_monitor.pool_stats"
	),
	201,
	'the rest is in (other), perhaps with the one that asks'
);
is(
	$node->safe_psql(
		'postgres', "SELECT count(*) FROM pool_monitor.events WHERE event = 'applications_full'"
	),
	1,
	'an event says so'
);
is(log_count($node, 'more than 100 undeclared applications'), 1, 'and the log, once');
my @fresh = map { PoolMonitor::Holder->new($node, application_name => "fresh $_") } 1 .. 3;
is(
	$node->safe_psql(
		'postgres',
		'SELECT sum(connections), sum(connects) - sum(disconnects) FROM pool_monitor.pool_stats'
	),
	'204|204',
	'new ones likewise'
);
$_->close foreach @fresh;
$crowd->close;
wait_for($node, 'SELECT sum(connections) FROM pool_monitor.pool_stats', 'all are gone', 1);
is(
	$node->safe_psql(
		'postgres',
		'SELECT count(*) FROM pool_monitor.pool_stats WHERE connects <> disconnects + connections'
	),
	0,
	'each row adds up'
);

# reset() makes room, but only when nobody can still be counting there
$node->safe_psql('postgres', 'SELECT pool_monitor.reset()');
wait_for(
	$node,
	"SELECT count(*) < 3 FROM pool_monitor.pool_stats WHERE application_name IS NOT NULL",
	'they are forgotten'
);
my $again = PoolMonitor::Holder->new($node, application_name => 'again', sessions => 2);
wait_for(
	$node,
	"SELECT connections FROM pool_monitor.pool_stats WHERE application_name = 'again'",
	'and there is room for others, in a while', 2
);
is($node->safe_psql('postgres', 'SELECT sum(connections) FROM pool_monitor.pool_stats'),
	3, 'all are somewhere');
$again->close;
done_testing();
