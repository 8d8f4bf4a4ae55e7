# Healthy pools are never touched: those that replace their own connections by
# their published rules, and real ones (psycopg_pool, PgBouncer), under a clean-up
# that runs all the time, without a grace period. And what happens to an
# application where sessions are retired all the same. Needs real clients and the
# clock.
use strict;
use warnings FATAL => 'all';
use IPC::Run;
use PoolMonitor qw(:DEFAULT query client);
use PostgreSQL::Test::Utils;
use Test::More;

my $recycle = 8;     # s; what the lifetimes are declared as
my $size    = 6;     # connections of each pool
my $margin  = 10;    # %, the default

my $node = new_server('healthy',
	"pool_monitor.recycle_interval = 100ms\npool_monitor.recycle_margin = $margin\nmax_connections = 80\n"
);
query($node, 'CREATE ROLE app LOGIN; CREATE ROLE bouncer LOGIN; CREATE ROLE sitter LOGIN');
my $dsn = $node->connstr('postgres') . ' user=app';

# A client that answers commands, see the script, and says something before that.
sub greeted
{
	my $client = client(@_);
	$client->{greeting} = $client->answer;
	return $client;
}

sub stats
{
	my ($pool)  = @_;
	my @columns = qw(connects disconnects ended_client retired declined);
	my @values  = split /\|/,
	  query($node,
		'SELECT ' . join(', ', @columns) . " FROM pool_monitor.pool_stats WHERE pool = '$pool'");
	my %stats;
	@stats{@columns} = @values;
	return \%stats;
}

# ---- five pools of one client ----

my @healthy = qw(hikari psycopg pgx bouncer);
declare(
	$node,
	'INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode) VALUES '
	  . join(', ',
		map { "('$_', '$_', $size, 0, '$recycle s', '0', 'terminate')" } @healthy, 'overdue')
);

my ($lifetimes_out, $lifetimes_err);

sub start_lifetimes
{
	query($node, "SELECT pool_monitor.reset('$_')") foreach @healthy, 'overdue';
	($lifetimes_out, $lifetimes_err) = ('', '');
	return IPC::Run::start(
		[
			python(), "$FindBin::RealBin/../clients/lifetimes.py",
			$dsn,     $recycle, 2.5 * $recycle, $size
		],
		'>'  => \$lifetimes_out,
		'2>' => \$lifetimes_err
	);
}

# What the client says of each pool, and what the server says, of sessions that
# are all over.
sub finish_lifetimes
{
	my ($run) = @_;
	my %pools;

	$run->finish;
	note($lifetimes_out, $lifetimes_err);
	foreach my $line (split /\n/, $lifetimes_out)
	{
		my ($name, $rest) = split / /, $line, 2;
		my %said = $rest =~ /(\w+)=([\d.]+)/g;
		wait_for(
			$node,
			"SELECT disconnects FROM pool_monitor.pool_stats WHERE pool = '$name'",
			"$name: all sessions are over",
			$said{opened}
		);
		$pools{$name} = {%said, %{stats($name)}};
	}
	return \%pools;
}

# On a machine that is slow enough the client closes a connection so late that it
# is rightly retired: such a run proves nothing. What is left of the margin is
# for the session's own end.
sub too_late
{
	my ($pool) = @_;
	return $pool->{retired} + $pool->{declined} > 0 && $pool->{oldest} > 100 + $margin - 2;
}

my $lifetimes = start_lifetimes();

# ---- meanwhile: PgBouncer ----

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } '/usr/sbin', '/usr/bin', split /:/, $ENV{PATH};
my $bouncer_dir     = PostgreSQL::Test::Utils::tempdir_short();
my $bouncer_port    = PostgreSQL::Test::Cluster::get_free_port();
my $bouncer_log     = "$PostgreSQL::Test::Utils::log_path/pgbouncer.log";
my $server_lifetime = 5;
my ($bouncer, $traffic, $sitter);

sub start_pgbouncer
{
	my $to = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres';
	append_to_file("$bouncer_dir/pgbouncer.ini", <<EOC);
[databases]
shared = $to user=bouncer
session = $to user=sitter pool_mode=session pool_size=1
[pgbouncer]
listen_port = $bouncer_port
unix_socket_dir = $bouncer_dir
auth_type = any
logfile = $bouncer_log
pool_mode = transaction
default_pool_size = 4
min_pool_size = 1
server_lifetime = $server_lifetime
server_idle_timeout = 2
EOC
	$bouncer = IPC::Run::start([$pgbouncer, '-q', "$bouncer_dir/pgbouncer.ini"], '<' => \undef);
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if -S "$bouncer_dir/.s.PGSQL.$bouncer_port";
		select(undef, undef, undef, 0.1);
	}
	die "PgBouncer does not start\n";
}

END { local $?; $bouncer->kill_kill if $bouncer; }

sub bouncer_log_count
{
	my ($pattern) = @_;
	my $n = () = slurp_file($bouncer_log) =~ /$pattern/g;
	return $n;
}

sub wait_for_bouncer_log
{
	my ($pattern, $number, $what) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return pass($what) if bouncer_log_count($pattern) >= $number;
		select(undef, undef, undef, 0.1);
	}
	return fail($what);
}

# pool_recycle is twice server_lifetime: connections that were opened all at once
# are closed server_lifetime / pool_size apart.
sub pgbouncer_begins
{
	my $twice = 2 * $server_lifetime;
	declare(
		$node,
		"INSERT INTO pool_monitor.pools (name, usename, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
		VALUES ('pgbouncer', 'bouncer', 4, 0, '$twice s', '0', 'terminate'), ('session pooling', 'sitter', 1, 0, '$twice s', '0', 'report')"
	);
	start_pgbouncer();
	$traffic =
	  greeted('traffic.py', "host=$bouncer_dir port=$bouncer_port dbname=shared user=any", 4);
	$traffic->do('work');
	$sitter = PoolMonitor::Holder->new($node,
		dsn => "host=$bouncer_dir port=$bouncer_port dbname=session user=any");
	is($sitter->do('sql 0 SELECT 42'), 42, 'PgBouncer runs');
	return;
}
pgbouncer_begins() if $pgbouncer;

# ---- meanwhile: psycopg_pool ----

sub pool_client
{
	my ($name, $max_lifetime, $how) = @_;
	return greeted('psycopgpool.py', $dsn, $name, 3, $max_lifetime, $how // 'plain');
}

# In use, it replaces what has expired when it comes back. So does check(), from
# 3.1.8 on; before, it is a statement, so that no connection is idle for long.
declare(
	$node,
	"INSERT INTO pool_monitor.pools (name, application_name, pool_size, max_overflow, pool_recycle, recycle_grace, recycle_mode)
	VALUES ('in use', 'in use', 3, 0, '$recycle s', '5 s', 'terminate'), ('tended', 'tended', 3, 0, '$recycle s', '5 s', 'terminate'),
	('idle', 'idle%', 9, 0, '1 s', '0', 'report')"
);
my $in_use    = pool_client('in use', $recycle);
my $available = $in_use->{greeting} eq 'ready';
my ($tended, $idle, $idle_tended, $idle_checked);

sub psycopg_pool_begins
{
	$tended = pool_client('tended', $recycle);
	$in_use->do('work');
	$tended->do('tend');
	return;
}

# Left idle it keeps what has expired: stale, and given out to the application
# without a look. With check_connection (3.2 and later) the checkout looks, and
# takes the next one after 0, 1, 2, 4... seconds: when many in a row are gone it
# fails after all, by its time-out.
sub idle_psycopg_pool
{
	$idle         = pool_client('idle plain',   1);
	$idle_tended  = pool_client('idle tended',  1);
	$idle_checked = pool_client('idle checked', 1, 'checked');
	my $checks = $idle_checked->{greeting} eq 'ready';
	my $all    = $checks ? 9 : 6;

	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'idle'",
		'psycopg_pool: left idle, all become stale', $all
	);
	is(stats('idle')->{disconnects}, 0, 'and it closes none');
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'terminate' WHERE name = 'idle'");
	wait_for(
		$node,
		"SELECT connections FROM pool_monitor.budgets WHERE pool = 'idle'",
		'they are retired', 0
	);
	is(stats('idle')->{retired}, $all, 'all of them, and it does not notice');
	declare($node, "UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'idle'");

	my $answer = $idle->do('take 3');
	like($answer,             qr/^errors=3 /, 'without a check: an error for each of them');
	like($idle->do('take 3'), qr/^errors=0 /, 'and no more');
	$idle_tended->do('check');
	like($idle_tended->do('take 3'), qr/^errors=0 /, 'after check(): no error');
  SKIP:
	{
		skip $idle_checked->{greeting}, 1 unless $checks;
		$answer = $idle_checked->do('take 3');
		note($answer);
		like($answer, qr/^errors=0 /, 'with check_connection: no error');
	}
	return;
}
SKIP:
{
	skip "psycopg_pool: $in_use->{greeting}", 1 unless $available;
	psycopg_pool_begins();
	subtest 'psycopg_pool that is left idle keeps what is stale' => \&idle_psycopg_pool;
}

# ---- the ends ----

subtest 'pools that replace their own are never touched, one that does not is' => sub {
	my $pools = finish_lifetimes($lifetimes);
	foreach my $again (1, 2)
	{
		last unless grep { too_late($pools->{$_}) } @healthy;
		diag("the client closed connections too late: once more");
		$pools = finish_lifetimes(start_lifetimes());
	}
	is($lifetimes_err, '', 'no error in the client');
	foreach my $name (@healthy)
	{
		my $pool = $pools->{$name};
		diag("$name: the client was too late each time") if too_late($pool);
		is($pool->{retired},  0, "$name: none retired");
		is($pool->{declined}, 0, "$name: none asked");
		is(
			"$pool->{closed} $pool->{lost}",
			"$pool->{ended_client} 0",
			"$name: it closed all of its $pool->{opened} itself"
		);
		cmp_ok($pool->{opened}, '>=', 2 * $size, "$name: each was replaced");
	}
	my $overdue = $pools->{overdue};
	cmp_ok($overdue->{retired}, '>=', 1, "overdue: $overdue->{retired} retired");
	is($overdue->{retired} + $overdue->{ended_client},
		$overdue->{opened}, 'overdue: the client closed the others');
};

sub psycopg_pool_ends
{
	wait_for(
		$node,
		"SELECT disconnects > 0 FROM pool_monitor.pool_stats WHERE pool = 'in use'",
		'psycopg_pool: it replaces its connections'
	);
	like($in_use->do('rest'), qr/^errors=0 /, 'in use: no error');
	like($tended->do('rest'), qr/^errors=0 /, 'tended: no error');
	is(stats($_)->{retired}, 0, "$_: none retired") foreach 'in use', 'tended';
	$_->close foreach grep { defined } $in_use, $tended, $idle, $idle_tended, $idle_checked;
	return;
}
SKIP:
{
	skip "psycopg_pool: $in_use->{greeting}", 1 unless $available;
	subtest 'psycopg_pool in use, or tended, is never touched' => \&psycopg_pool_ends;
}

# Nobody works: what is above min_pool_size is closed, by age or as idle.
sub wait_until_at_rest
{
	$node->poll_query_until('postgres',
		"SELECT connections <= 1 FROM pool_monitor.budgets WHERE pool = 'pgbouncer'")
	  or die "PgBouncer keeps its connections\n";
	return;
}

sub pgbouncer_ends
{
	wait_for_bouncer_log('closing because: server[ _]lifetime',
		8, 'PgBouncer: closes connections by their age');
	$traffic->do('rest');
	wait_until_at_rest();
	like($traffic->do('burst'), qr/ errors=0$/, 'no error in the application');
	wait_until_at_rest();
	cmp_ok(bouncer_log_count('closing because: server idle timeout'),
		'>=', 1, 'what was new then was closed as idle');
	my $stats = stats('pgbouncer');
	note(join ', ', map { "$_ $stats->{$_}" } sort keys %$stats);
	is($stats->{retired},      0,                     'PgBouncer: none retired');
	is($stats->{declined},     0,                     'PgBouncer: none asked');
	is($stats->{ended_client}, $stats->{disconnects}, 'it closed them itself');
	return;
}

# Retired too early: PgBouncer notices by itself, so that the application does not. What
# it says depends on whether it reads the farewell before the end of the connection.
sub pgbouncer_declared_too_short
{
	declare($node, "UPDATE pool_monitor.pools SET pool_recycle = '1 s' WHERE name = 'pgbouncer'");
	wait_for(
		$node,
		"SELECT retired >= 3 FROM pool_monitor.pool_stats WHERE pool = 'pgbouncer'",
		'PgBouncer declared with too short a pool_recycle: sessions are retired'
	);
	declare($node,
		"UPDATE pool_monitor.pools SET recycle_mode = 'report' WHERE name = 'pgbouncer'");
	wait_for_bouncer_log(
		'shared/bouncer.* closing because: .*server (?:conn crashed|got dirty)',
		stats('pgbouncer')->{retired},
		'PgBouncer has noticed'
	);
	like($traffic->do('burst'), qr/ errors=0$/, 'no error in the application');
	return;
}

# In session pooling a connection belongs to its client, idle or not: PgBouncer
# closes none by age before the client leaves.
sub session_pooling
{
	wait_for(
		$node,
		"SELECT stale FROM pool_monitor.budgets WHERE pool = 'session pooling'",
		'session pooling: the session of an idle client becomes stale', 1
	);
	is($sitter->do('sql 0 SELECT 42'), 42, 'though its client may go on at any time');
	wait_for(
		$node,
		"SELECT retired FROM (SELECT count(*) AS retired FROM pool_monitor.recycle('session pooling', dry_run => false) WHERE action = 'retired') r",
		'retired',
		1
	);
	like($sitter->do('sql 0 SELECT 42'), qr/^error/, 'the client gets an error');
	return;
}
SKIP:
{
	skip 'there is no pgbouncer', 1 unless $pgbouncer;
	subtest 'PgBouncer is never touched'                       => \&pgbouncer_ends;
	subtest 'PgBouncer declared with too short a pool_recycle' => \&pgbouncer_declared_too_short;
	subtest 'in session pooling the client of a retired session gets an error' => \&session_pooling;
	$_->close foreach $traffic, $sitter;
}
is(log_count($node, 'PANIC|TRAP'), 0, 'nothing broke');
done_testing();
