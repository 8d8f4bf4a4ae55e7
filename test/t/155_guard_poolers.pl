# What HikariCP, node-postgres and PgBouncer do when the guard refuses their logins, and
# that each goes on by itself afterwards. docs/guard.md says what is seen here. Needs them
# themselves; what is not installed is skipped.
use strict;
use warnings FATAL => 'all';
use FindBin;
use IPC::Run;
use PoolMonitor qw(:DEFAULT query app_holder client_command);
use PoolMonitorGuard;
use PoolMonitorReporting qw(wait_until);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_poolers', "listen_addresses = '127.0.0.1'\n");
append_to_file($node->data_dir . '/pg_hba.conf', "host all app 127.0.0.1/32 trust\n");
$node->reload;

my $said =
  'too many connections for pool "ems"|The limit is 4 connections, and 4 are taken.|Close connections that are not used, start fewer processes, or raise the pool\'s budget.';

# The pool's places are 4, of everybody whose role is "app". So many of them are another
# process's.
sub others
{
	my ($number) = @_;
	pools($node, guard('ems', 4, application_name => 'NULL', usename => "'app'"));
	return app_holder($node, 'others', $number);
}

sub guarded { return counted($node, 'ems', 'guarded') }

sub wait_for_places
{
	my ($n) = @_;
	return wait_for_guards($node, 'ems', 'places', $n, "$n places are taken");
}

sub wait_for_guarded
{
	my ($n) = @_;
	return wait_for(
		$node,
		"SELECT guarded >= $n FROM pool_monitor.pool_stats WHERE pool = 'ems'",
		'it is refused'
	);
}

# Where a program is; without it the subtest is skipped.
sub found
{
	my ($what, $program) = @_;
	my ($path) = grep { -x } map { "$_/$program" } '/usr/bin', '/usr/sbin', split /:/, $ENV{PATH};
	plan(skip_all => "there is no $what") unless $path;
	return $path;
}

# ---- HikariCP ----

sub hikari
{
	my ($size, $timeout) = @_;
	my @jars    = map  { "/usr/share/java/$_.jar" } qw(HikariCP postgresql slf4j-api slf4j-nop);
	my @missing = grep { !-e } @jars;
	my $javac   = found('Java compiler', 'javac');
	plan(skip_all => "there is no @missing") if @missing;

	my $classes = PostgreSQL::Test::Utils::tempdir();
	my $path    = join ':', @jars, $classes;
	must_run($javac, '-Xlint:all,-processing', '-Werror', '-d', $classes, '-cp', $path,
		"$FindBin::RealBin/../clients/GuardedPool.java");
	(my $java = $javac) =~ s/javac$/java/;
	return client_command($java, '-XX:TieredStopAtLevel=1', '-cp', $path, 'GuardedPool',
		'jdbc:postgresql://127.0.0.1:' . $node->port . '/postgres?user=app',
		$size, $timeout);
}

subtest 'HikariCP' => sub {
	my $pool   = hikari(3, 2000);
	my $others = others(4);

	is(
		$pool->do('open'),
		'PoolInitializationException 53300',
		'a pool that is to open is not opened'
	);
	like(
		$pool->do('said'),
		qr/^FATAL: too many connections for pool "ems"\|Detail: The limit is 4 connections, and 4 are taken\.\|Hint: /,
		'its cause says all'
	);
	$others->do('close 2');
	wait_for_places(2);
	is($pool->do('open'), 'opened', 'it is when there is a place');
	is($pool->do('take'), 'took one', "connection $_") foreach 1, 2;
	my $before = guarded();
	is(
		$pool->do('take'),
		'SQLTransientConnectionException 53300',
		'a checkout above the limit waits for connectionTimeout, and says why'
	);
	wait_for_guarded($before + 2);
	is($pool->do('begin'), 'begun', 'another one waits');
	$others->do('close 1');
	is($pool->do('end'),  'took one', 'and has the place when there is one');
	is($pool->do('give'), 3,          'all come back');
	$_->close foreach $pool, $others;
};

# ---- node-postgres ----

sub node_pool
{
	my ($size) = @_;
	local $ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/usr/lib/node_modules',
	  '/usr/local/lib/node_modules', $ENV{NODE_PATH} // ();
	my $pool = client_command(
		found('Node.js', 'node'),
		"$FindBin::RealBin/../clients/guardedpool.cjs",
		$node->host, $node->port, 'ems', $size
	);
	my $first = $pool->answer;
	note($first);
	return $pool if $first =~ /^ready/;
	$pool->close;
	plan(skip_all => "pg: $first");
}

subtest 'node-postgres' => sub {
	my $pool   = node_pool(3);
	my $others = others(2);
	is($pool->do('take'),  'took one',    "client $_") foreach 1, 2;
	is($pool->do('take'),  'error 53300', 'an error at once');
	is($pool->do('said'),  $said,         'which says all');
	is($pool->do('query'), 'error 53300', 'likewise of query()');
	is(guarded(),          2,             'each try is a login');
	is($pool->do('open'),  2,             'the pool has what it had');
	$others->do('close 1');
	wait_for_places(3);
	is($pool->do('query'), 42,         'when there is a place the next one has it');
	is($pool->do('take'),  'took one', 'and keeps it');
	is($pool->do('give'),  3,          'all come back');
	is(guarded(),          2,          'no login was made in vain since');
	$_->close foreach $pool, $others;
};

# ---- PgBouncer ----

my ($dir, @running);

END
{
	local $?;
	$_->kill_kill foreach @running;
}

sub start_pgbouncer
{
	my $program = found('PgBouncer', 'pgbouncer');
	my $port    = PostgreSQL::Test::Cluster::get_free_port();
	$dir = PostgreSQL::Test::Utils::tempdir_short();
	note(`$program --version`);
	append_to_file("$dir/pgbouncer.ini", <<EOC);
[databases]
shared = host=@{[$node->host]} port=@{[$node->port]} dbname=postgres user=app
[pgbouncer]
listen_port = $port
unix_socket_dir = $dir
auth_type = any
logfile = $PostgreSQL::Test::Utils::log_path/guard_pgbouncer.log
pool_mode = transaction
default_pool_size = 3
EOC
	push @running, IPC::Run::start([$program, '-q', "$dir/pgbouncer.ini"], '<' => \undef);
	wait_until(sub { -S "$dir/.s.PGSQL.$port" }, 'PgBouncer listens');
	return "host=$dir port=$port dbname=shared user=any";
}

# A client of its, which waits for as long as it has to. What it says: a new PgBouncer also that it waits.
sub begin_client
{
	my ($dsn) = @_;
	my ($out, $err) = ('', '');
	my $client = IPC::Run::start(
		['psql', '-XAtw', '-d', $dsn, '-c', 'SELECT 42'],
		'<'  => \undef,
		'>'  => \$out,
		'2>' => \$err
	);
	return sub { $client->finish; return $out . $err; };
}

subtest 'PgBouncer' => sub {
	my $dsn    = start_pgbouncer();
	my $others = others(4);

	# without a connection of its own
	my $said = begin_client($dsn)->();
	like($said, qr/too many connections for pool "ems"/, 'a client is told what PgBouncer was');
	my $first = time;
	is(guarded(), 1, 'that was one login');
	$others->do('close 1');
	wait_for_places(3);
	like(begin_client($dsn)->(), qr/^42$/m, 'the next one waits, and has a connection in the end');
	my $seconds = time - $first;
	ok($seconds >= 10 && $seconds <= 40, "after server_login_retry, 15 s: $seconds s");
	is(guarded(), 1, 'no login was made in vain since');

	# with one
	my $busy = PoolMonitor::Holder->new($node, dsn => $dsn);
	$busy->do('sql 0 BEGIN');
	my $waiting = begin_client($dsn);
	wait_for_guarded(2);
	my $second = time;
	$others->do('close 1');
	like($waiting->(), qr/^42$/m, 'a client waits, and has a connection in the end');
	$seconds = time - $second;
	ok($seconds >= 10 && $seconds <= 40, "after server_login_retry, too: $seconds s");
	is(guarded(), 2, 'with one login refused');
	$busy->do('sql 0 COMMIT');
	$_->close foreach $busy, $others;
};

done_testing();
