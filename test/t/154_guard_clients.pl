# What a client sees whose pool has no place left, and that it goes on by itself when there
# is one: psql, libpq's own second try, SQLAlchemy's QueuePool, psycopg_pool. docs/guard.md
# says what is seen here. Needs the client libraries themselves.
use strict;
use warnings FATAL => 'all';
use FindBin;
use PoolMonitor qw(:DEFAULT query app_holder client_command);
use PoolMonitorGuard;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = guard_server('guard_clients', "listen_addresses = '127.0.0.1'\n");
append_to_file($node->data_dir . '/pg_hba.conf', "host all app 127.0.0.1/32 trust\n");
make_certificate($node);
$node->restart;

my $local = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres user=app';
my $tcp   = 'host=127.0.0.1 port=' . $node->port . ' dbname=postgres user=app gssencmode=disable';
my $full  = 'FATAL:  too many connections for pool "ems"';
my $taken = 'DETAIL:  The limit is 4 connections, and 4 are taken.';
my $hint =
  'HINT:  Close connections that are not used, start fewer processes, or raise the pool\'s budget.';

# The pool's places are 4. So many of them are another process's.
sub others
{
	my ($number) = @_;
	pools($node, guard('ems', 4));
	return app_holder($node, 'ems', $number);
}

# One try of psql's: whether it got in, and what it says.
sub psql
{
	my ($dsn, @options) = @_;
	local $ENV{PGAPPNAME} = 'ems';
	my ($out, $err) = ('', '');
	my $got_in = IPC::Run::run(['psql', '-XAtw', @options, '-d', $dsn, '-c', 'SELECT 42'],
		'<', \undef, '>', \$out, '2>', \$err);
	return wantarray ? ($got_in, $err) : $out . $err;
}

sub guarded { return counted($node, 'ems', 'guarded') }

# A place is given back a moment after its client has closed the session.
sub wait_for_places
{
	my ($n) = @_;
	return wait_for_guards($node, 'ems', 'places', $n, "$n places are taken");
}

# Without these the subtest is skipped.
sub needs
{
	my ($modules) = @_;
	plan(skip_all => "there is no $modules in Python")
	  if system_log(python(), '-c', "import $modules") != 0;
	return;
}

sub guarded_pool
{
	my ($kind, @sizes) = @_;
	my $pool = client_command(python(), "$FindBin::RealBin/../clients/guardedpool.py",
		$local, 'ems', $kind, @sizes);
	is($pool->answer, 'ready', 'its pool is there');
	return $pool;
}

subtest 'psql' => sub {
	my $others = others(4);
	my ($got_in, $err) = psql($local);
	ok(!$got_in, 'is refused');
	like(
		$err,
		qr/^psql: error: connection to server on socket [^\n]*: \Q$full\E\n\Q$taken\E\n\Q$hint\E$/,
		'and told the pool, its limit, what is taken, and what to do'
	);
	is_counted($node, 'ems', 'guarded, refused, rejected', '1|0|0', 'counted once');
	$others->do('close 1');
	wait_for_places(3);
	is(psql($local), "42\n", 'the next try gets in');
	is(guarded(),    1,      'and is not counted');
	$others->close;
};

# Each process that the server starts for a client is a login.
subtest "libpq's second try" => sub {
	my $others = others(4);
	my $err    = psql("$tcp sslmode=prefer");
	is(() = $err =~ /\Q$full\E/g, 2, 'sslmode=prefer, the default, is told twice');
	is(guarded(),                 2, 'and counted twice');
	$err = psql("$tcp sslmode=require");
	is(() = $err =~ /\Q$full\E/g, 1, 'sslmode=require once');
	is(guarded(),                 3, 'and counted once');
	psql("$tcp sslmode=disable");
	is(guarded(), 4, 'so is sslmode=disable');
	$others->do('close 1');
	wait_for_places(3);
	is(psql("$tcp sslmode=prefer"), "42\n", 'when there is a place the first try gets it');
	is(guarded(),                   4,      'and there is no second one');
	$others->close;
};

# 53300 does not send libpq to the next of several hosts, as 57P03 would.
subtest 'libpq with several hosts' => sub {
	my $others = others(4);
	(my $two = "$tcp sslmode=disable") =~ s/host=127.0.0.1/host=127.0.0.1,127.0.0.1/;
	$two =~ s/port=(\d+)/port=$1,$1/;
	my $err = psql($two);
	is(() = $err =~ /\Q$full\E/g, guarded(), 'told as often as counted');
	is(guarded(),                 1,         'the next host is not tried');
	$others->close;
};

# Its checkout opens connections up to pool_size and max_overflow, at once.
subtest "SQLAlchemy's QueuePool" => sub {
	needs('sqlalchemy, psycopg2');
	my $others = others(2);
	my $pool   = guarded_pool('queuepool', 1, 3, 30);
	is($pool->do('take'), 'took one', "connection $_") foreach 1, 2;
	foreach my $try (1 .. 5)
	{
		is($pool->do('take'), 'OperationalError none', "try $try: an error, without SQLSTATE");
	}
	like($pool->do('said'), qr/\Q$full\E\|\Q$taken\E\|\Q$hint\E/, 'which says all');
	cmp_ok($pool->do('seconds'), '<', 5, 'at once');
	is(guarded(), 5, 'each try is a login');
	$others->do('close 1');
	wait_for_places(3);
	is($pool->do('take'), 'took one', 'when there is a place the next checkout has it');
	is($pool->do('give'), 3,          'all come back');
	is($pool->do('take'), 'took one', 'what was refused has taken nothing from the pool');
	is(guarded(),         5,          'and no login was made in vain since');
	$_->close foreach $pool, $others;
};

# Its checkout waits while workers of its own open connections, again and again.
subtest 'psycopg_pool' => sub {
	needs('psycopg, psycopg_pool');
	my $others = others(2);
	my $pool   = guarded_pool('psycopgpool', 1, 3, 2);
	is($pool->do('take'), 'took one', "connection $_") foreach 1, 2;
	is($pool->do('take'), 'PoolTimeout none', 'it waits for one more, as long as it may');
	unlike($pool->do('said'), qr/too many connections for pool/, 'and does not say why');
	cmp_ok(guarded(), '>=', 2, 'its workers have tried again');
	$others->do('close 1');
	wait_for($node, guards('ems', 'places'), 'they get the place when there is one', 4);
	is($pool->do('take'), 'took one', 'and it is there at once');
	is($pool->do('give'), 3,          'all come back');
	$_->close foreach $pool, $others;
};

subtest 'psycopg_pool, one that waits long enough' => sub {
	needs('psycopg, psycopg_pool');
	my $others = others(3);
	my $pool   = guarded_pool('psycopgpool', 1, 2, 120);
	is($pool->do('take'),  'took one', 'its first connection');
	is($pool->do('begin'), 'begun',    'it waits for one more');
	wait_for($node, "SELECT guarded >= 2 FROM pool_monitor.pool_stats WHERE pool = 'ems'",
		'it tries');
	$others->do('close 1');
	is($pool->do('end'), 'took one', 'and has it without an error');
	note('after ' . $pool->do('seconds') . ' s');
	$_->close foreach $pool, $others;
};

subtest 'psycopg_pool, that begins when there is no place' => sub {
	needs('psycopg, psycopg_pool');
	my $others = others(4);
	my $pool   = guarded_pool('psycopgpool', 2, 2, 120);
	is($pool->do('begin'), 'begun', 'it waits for its first connection');
	wait_for($node, "SELECT guarded >= 4 FROM pool_monitor.pool_stats WHERE pool = 'ems'",
		'it tries');
	$others->do('close 2');
	is($pool->do('end'),  'took one', 'and has it without an error');
	is($pool->do('take'), 'took one', 'and the second one');
	$_->close foreach $pool, $others;
};

done_testing();
